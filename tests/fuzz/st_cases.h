/* st_cases.h -- safetensors headers that the reader refuses, with the rule and the byte, and ones
 * that it takes, with the tensors. Most are from the battery on which readers were found to differ
 * (same name twice, 4.0, -0, products that wrap), and from bugs of other readers.
 *
 * Headers are written with ' for the double quote; ^ stands before the byte that the report is to
 * name. Neither is part of what is read. The eight bytes of the length go in front.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_ST_CASES_H
#define TESTS_FUZZ_ST_CASES_H
#include <stddef.h>
#include <stdint.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define DOC(s) (s), sizeof(s) - 1

/* A record, and the parts of one: of four bytes unless the case is about that. */
#define REC(type, shape, offsets) "{'dtype':" type ",'shape':" shape ",'data_offsets':" offsets "}"
#define U8(shape, offsets) REC("'U8'", shape, offsets)
#define R4 U8("[4]", "[0,4]")
#define T "'dtype':'U8'"
#define S "'shape':[4]"
#define D "'data_offsets':[0,4]"
#define ONES10 "1,1,1,1,1,1,1,1,1,1"

/* Where no byte of the header is marked, the report names byte at of the payload. */
/* clang-format off */
static const struct st_bad {
	const char *name, *text;
	size_t n;
	uint64_t payload;
	const char *rule;
	uint64_t at;
} st_bad[] = {
	/* names */
	{ "same name, same range", DOC("{'a':" R4 ",^'a':" R4 "}"), 4, "st.name-twice", 0 },
	{ "same name, another range", DOC("{'a':" R4 ",^'a':" U8("[4]", "[4,8]") "}"), 8, "st.name-twice", 0 },
	{ "same name, second escaped", DOC("{'a':" R4 ",^'\\u0061':" U8("[4]", "[4,8]") "}"), 8, "st.name-twice", 0 },
	{ "same name, first escaped", DOC("{'\\u0061':" R4 ",^'a':" R4 "}"), 4, "st.name-twice", 0 },
	{ "same name, escaped in two ways", DOC("{'/\\u00e4':" R4 ",^'\\/\xc3\xa4':" R4 "}"), 4, "st.name-twice", 0 },
	{ "same name by surrogates", DOC("{'\xf0\x9f\x98\x80':" R4 ",^'\\ud83d\\ude00':" R4 "}"), 4, "st.name-twice", 0 },
	{ "same name, another type", DOC("{'a':" REC("'I8'", "[4]", "[0,4]") ",^'a':" R4 "}"), 4, "st.name-twice", 0 },
	{ "zero-size, then the same name real", DOC("{'a':" U8("[0]", "[0,0]") ",^'a':" R4 "}"), 4, "st.name-twice", 0 },
	{ "same name, not side by side", DOC("{'a':" U8("[1]", "[0,1]") ",'b':" U8("[1]", "[1,2]") ",^'a':" U8("[1]", "[2,3]") "}"), 3, "st.name-twice", 0 },
	{ "three times: the second is named", DOC("{'b':" U8("[]", "[0,1]") ",'a':" U8("[]", "[1,2]") ",^'a':" U8("[]", "[2,3]") ",'a':" U8("[]", "[3,4]") "}"), 4, "st.name-twice", 0 },
	{ "two pairs: the first in the file is named", DOC("{'z':" U8("[]", "[0,1]") ",'a':" U8("[]", "[1,2]") ",^'z':" U8("[]", "[2,3]") ",'a':" U8("[]", "[3,4]") "}"), 4, "st.name-twice", 0 },
	{ "name of no bytes", DOC("{^'':" R4 "}"), 4, "st.name-empty", 0 },
	{ "name with NUL", DOC("{^'a\\u0000':" R4 "}"), 4, "st.name-control", 0 },
	{ "name of NUL", DOC("{^'\\u0000':" R4 "}"), 4, "st.name-control", 0 },
	{ "name with NUL after __metadata__", DOC("{^'__metadata__\\u0000':{}}"), 0, "st.name-control", 0 },
	{ "name with newline", DOC("{^'a\\nb':" R4 "}"), 4, "st.name-control", 0 },
	{ "name with ESC", DOC("{^'\\u001b[2J':" R4 "}"), 4, "st.name-control", 0 },
	{ "name with DEL", DOC("{^'a\x7f':" R4 "}"), 4, "st.name-control", 0 },
	{ "name with raw newline", DOC("{'a^\nb':" R4 "}"), 4, "json.control", 0 },
	{ "name with raw NUL", DOC("{'a^\0b':" R4 "}"), 4, "json.syntax", 0 },
	{ "name with lone surrogate", DOC("{'^\\ud800':" R4 "}"), 4, "json.escape", 0 },
	{ "name with low surrogate", DOC("{'a^\\udc00':" R4 "}"), 4, "json.escape", 0 },
	{ "name with bad escape", DOC("{'^\\x41':" R4 "}"), 4, "json.escape", 0 },
	{ "name in Latin-1", DOC("{'^\xe4':" R4 "}"), 4, "json.utf8", 0 },
	{ "name overlong", DOC("{'^\xc0\xaf':" R4 "}"), 4, "json.utf8", 0 },
	{ "name in CESU-8", DOC("{'^\xed\xa0\xbd\xed\xb8\x80':" R4 "}"), 4, "json.utf8", 0 },
	{ "name beyond Unicode", DOC("{'^\xf4\x90\x80\x80':" R4 "}"), 4, "json.utf8", 0 },
	{ "name that is no string", DOC("{^1:" R4 "}"), 4, "json.syntax", 0 },
	{ "name without quotes", DOC("{^a:" R4 "}"), 4, "json.syntax", 0 },

	/* fields */
	{ "no dtype", DOC("{^'a':{" S "," D "}}"), 4, "st.field-missing", 0 },
	{ "no shape", DOC("{^'a':{" T "," D "}}"), 4, "st.field-missing", 0 },
	{ "no data_offsets", DOC("{^'a':{" T "," S "}}"), 4, "st.field-missing", 0 },
	{ "empty record", DOC("{^'a':{}}"), 4, "st.field-missing", 0 },
	{ "dtype twice", DOC("{'a':{" T "," S "," D ",^" T "}}"), 4, "st.field-twice", 0 },
	{ "shape twice", DOC("{'a':{" T "," S ",^" S "," D "}}"), 4, "st.field-twice", 0 },
	{ "data_offsets twice", DOC("{'a':{" T "," D ",^" D "," S "}}"), 4, "st.field-twice", 0 },
	{ "fourth field", DOC("{'a':{" T "," S "," D ",^'x':1}}"), 4, "st.field-unknown", 0 },
	{ "fourth field in front", DOC("{'a':{^'x':null," T "," S "," D "}}"), 4, "st.field-unknown", 0 },
	{ "fourth field nested 8 deep", DOC("{'a':{" T "," S "," D ",^'x':[[[[[[[[]]]]]]]]}}"), 4, "st.field-unknown", 0 },
	{ "field of no name", DOC("{'a':{^'':1," T "," S "," D "}}"), 4, "st.field-unknown", 0 },
	{ "field in upper case", DOC("{'a':{^'DType':'U8'," S "," D "}}"), 4, "st.field-unknown", 0 },
	{ "field spelled with an escape", DOC("{'a':{^'d\\u0074ype':'U8'," S "," D "}}"), 4, "st.field-unknown", 0 },
	{ "field with NUL behind", DOC("{'a':{" T ",^'shape\\u0000':[4]," D "}}"), 4, "st.field-unknown", 0 },
	{ "record as array", DOC("{'a':^['U8',[4],[0,4]]}"), 4, "json.type", 0 },
	{ "record as string", DOC("{'a':^'U8'}"), 4, "json.type", 0 },
	{ "record null", DOC("{'a':^null}"), 4, "json.type", 0 },
	{ "record number", DOC("{'a':^4}"), 4, "json.type", 0 },

	/* dtype */
	{ "dtype unknown", DOC("{'a':" REC("^'F5'", "[4]", "[0,4]") "}"), 4, "st.dtype-unknown", 0 },
	{ "dtype of no bytes", DOC("{'a':" REC("^''", "[4]", "[0,4]") "}"), 4, "st.dtype-unknown", 0 },
	{ "dtype in lower case", DOC("{'a':" REC("^'u8'", "[4]", "[0,4]") "}"), 4, "st.dtype-unknown", 0 },
	{ "dtype with space", DOC("{'a':" REC("^'U8 '", "[4]", "[0,4]") "}"), 4, "st.dtype-unknown", 0 },
	{ "dtype cut", DOC("{'a':" REC("^'U'", "[4]", "[0,4]") "}"), 4, "st.dtype-unknown", 0 },
	{ "dtype with more", DOC("{'a':" REC("^'U80'", "[4]", "[0,4]") "}"), 4, "st.dtype-unknown", 0 },
	{ "dtype with escape", DOC("{'a':" REC("^'\\u00558'", "[4]", "[0,4]") "}"), 4, "st.dtype-unknown", 0 },
	{ "dtype with NUL", DOC("{'a':" REC("^'U8\\u0000'", "[4]", "[0,4]") "}"), 4, "st.dtype-unknown", 0 },
	{ "dtype of torch", DOC("{'a':" REC(" ^'torch.uint8'", "[4]", "[0,4]") "}"), 4, "st.dtype-unknown", 0 },
	{ "dtype of E4M3FN", DOC("{'a':" REC("^'F8_E4M3FN'", "[4]", "[0,4]") "}"), 4, "st.dtype-unknown", 0 },
	{ "dtype object", DOC("{'a':" REC("^{'U8':null}", "[4]", "[0,4]") "}"), 4, "json.type", 0 },
	{ "dtype null", DOC("{'a':" REC("^null", "[4]", "[0,4]") "}"), 4, "json.type", 0 },
	{ "dtype number", DOC("{'a':" REC("^8", "[4]", "[0,4]") "}"), 4, "json.type", 0 },
	{ "dtype of 65 bytes", DOC("{'a':" REC("^'U8aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg'", "[4]", "[0,4]") "}"), 4, "json.long", 0 },

	/* shape */
	{ "dimension 4.0", DOC("{'a':" U8("[^4.0]", "[0,4]") "}"), 4, "json.number", 0 },
	{ "dimension 4e0", DOC("{'a':" U8("[^4e0]", "[0,4]") "}"), 4, "json.number", 0 },
	{ "dimension 4E0", DOC("{'a':" U8("[^4E0]", "[0,4]") "}"), 4, "json.number", 0 },
	{ "dimension -0", DOC("{'a':" U8("[^-0]", "[0,0]") "}"), 0, "json.number", 0 },
	{ "dimension -1", DOC("{'a':" U8("[^-1]", "[0,4]") "}"), 4, "json.number", 0 },
	{ "dimensions -2, -2", DOC("{'a':" U8("[^-2,-2]", "[0,4]") "}"), 4, "json.number", 0 },
	{ "dimension 04", DOC("{'a':" U8("[^04]", "[0,4]") "}"), 4, "json.number", 0 },
	{ "dimension 00", DOC("{'a':" U8("[^00]", "[0,0]") "}"), 0, "json.number", 0 },
	{ "dimension +4", DOC("{'a':" U8("[^+4]", "[0,4]") "}"), 4, "json.number", 0 },
	{ "dimension 0x4", DOC("{'a':" U8("[^0x4]", "[0,4]") "}"), 4, "json.number", 0 },
	{ "dimension NaN", DOC("{'a':" U8("[^NaN]", "[0,4]") "}"), 4, "json.type", 0 },
	{ "dimension as string", DOC("{'a':" U8("[^'4']", "[0,4]") "}"), 4, "json.type", 0 },
	{ "dimension null", DOC("{'a':" U8("[^null]", "[0,4]") "}"), 4, "json.type", 0 },
	{ "dimension true", DOC("{'a':" U8("[4,^true]", "[0,4]") "}"), 4, "json.type", 0 },
	{ "dimension as array", DOC("{'a':" U8("[^[4]]", "[0,4]") "}"), 4, "json.type", 0 },
	{ "shape null", DOC("{'a':" U8("^null", "[0,4]") "}"), 4, "json.type", 0 },
	{ "shape number", DOC("{'a':" U8("^4", "[0,4]") "}"), 4, "json.type", 0 },
	{ "shape object", DOC("{'a':" U8("^{}", "[0,1]") "}"), 1, "json.type", 0 },
	{ "shape with comma behind", DOC("{'a':" U8("[4,^]", "[0,4]") "}"), 4, "json.syntax", 0 },
	{ "shape with comma in front", DOC("{'a':" U8("[^,4]", "[0,4]") "}"), 4, "json.type", 0 },
	{ "shape without comma", DOC("{'a':" U8("[2 ^2]", "[0,4]") "}"), 4, "json.syntax", 0 },
	{ "nine dimensions", DOC("{'a':" U8("[1,1,1,1,1,1,1,1,^4]", "[0,4]") "}"), 4, "st.rank", 0 },
	{ "a hundred dimensions", DOC("{'a':" U8("[1,1,1,1,1,1,1,1,^" ONES10 "," ONES10 "," ONES10 "," ONES10 "," ONES10 "," ONES10 "," ONES10 "," ONES10 "," ONES10 ",1,4]", "[0,4]") "}"), 4, "st.rank", 0 },
	{ "dimension 2^48", DOC("{'a':" U8("[^281474976710656]", "[0,4]") "}"), 4, "json.range", 0 },
	{ "dimension 2^63", DOC("{'a':" U8("[^9223372036854775808,2]", "[0,4]") "}"), 4, "json.range", 0 },
	{ "dimension 2^64-1", DOC("{'a':" U8("[^18446744073709551615]", "[0,4]") "}"), 4, "json.range", 0 },
	{ "dimension 2^64", DOC("{'a':" U8("[^18446744073709551616]", "[0,0]") "}"), 0, "json.range", 0 },
	{ "dimension 2^64+4", DOC("{'a':" U8("[^18446744073709551620]", "[0,4]") "}"), 4, "json.range", 0 },
	{ "dimension of 40 digits", DOC("{'a':" U8("[^1000000000000000000000000000000000000000]", "[0,4]") "}"), 4, "json.range", 0 },
	{ "zero before 2^63", DOC("{'a':" U8("[0,^9223372036854775808,2]", "[0,0]") "}"), 0, "json.range", 0 },
	{ "zero before 2^64-1", DOC("{'a':" U8("[0,^18446744073709551615]", "[0,0]") "}"), 0, "json.range", 0 },
	{ "zero behind 2^63", DOC("{'a':" U8("[^9223372036854775808,2,0]", "[0,0]") "}"), 0, "json.range", 0 },

	/* sizes */
	{ "product 2^64 wraps to 0", DOC("{^'a':" U8("[4294967296,4294967296]", "[0,0]") "}"), 0, "st.size", 0 },
	{ "product wraps to 4", DOC("{^'a':" U8("[111620,429509837,384773]", "[0,4]") "}"), 4, "st.size", 0 },
	{ "product wraps before a zero", DOC("{^'a':" U8("[4294967296,4294967296,0]", "[0,0]") "}"), 0, "st.size", 0 },
	{ "product wraps behind a zero", DOC("{^'a':" U8("[0,4294967296,4294967296]", "[0,0]") "}"), 0, "st.size", 0 },
	{ "product wraps around a zero", DOC("{^'a':" U8("[4294967296,0,4294967296]", "[0,0]") "}"), 0, "st.size", 0 },
	{ "eight largest dimensions", DOC("{^'a':" U8("[281474976710655,281474976710655,281474976710655,281474976710655,281474976710655,281474976710655,281474976710655,281474976710655]", "[0,4]") "}"), 4, "st.size", 0 },
	{ "bytes wrap to 0", DOC("{^'a':" REC("'F64'", "[1099511627776,2097152]", "[0,0]") "}"), 0, "st.size", 0 },
	{ "bits wrap, bytes would not", DOC("{^'a':" U8("[281474976710655,8193]", "[0,4]") "}"), 4, "st.size", 0 },
	{ "F4 scalar", DOC("{^'a':" REC("'F4'", "[]", "[0,1]") "}"), 1, "st.size", 0 },
	{ "F4 of 3", DOC("{^'a':" REC("'F4'", "[3]", "[0,2]") "}"), 2, "st.size", 0 },
	{ "F4 of 3, rounded down", DOC("{^'a':" REC("'F4'", "[3]", "[0,1]") "}"), 1, "st.size", 0 },
	{ "F4 of 3 x 5", DOC("{^'a':" REC("'F4'", "[3,5]", "[0,8]") "}"), 8, "st.size", 0 },
	{ "F6 of 2", DOC("{^'a':" REC("'F6_E2M3'", "[2]", "[0,2]") "}"), 2, "st.size", 0 },
	{ "F6 of 3", DOC("{^'a':" REC("'F6_E3M2'", "[3]", "[0,3]") "}"), 3, "st.size", 0 },
	{ "F4 counted in bytes", DOC("{^'a':" REC("'F4'", "[4]", "[0,4]") "}"), 4, "st.size-mismatch", 0 },
	{ "shape larger than range", DOC("{^'a':" U8("[5]", "[0,4]") "}"), 4, "st.size-mismatch", 0 },
	{ "shape smaller than range", DOC("{^'a':" U8("[3]", "[0,4]") "}"), 4, "st.size-mismatch", 0 },
	{ "scalar of four bytes", DOC("{^'a':" U8("[]", "[0,4]") "}"), 4, "st.size-mismatch", 0 },
	{ "range of nothing", DOC("{^'a':" U8("[4]", "[0,0]") "}"), 4, "st.size-mismatch", 0 },
	{ "zero dimension with bytes", DOC("{^'a':" U8("[0,4]", "[0,4]") "}"), 4, "st.size-mismatch", 0 },
	{ "wrong width of type", DOC("{'b':" U8("[4]", "[0,4]") ",^'a':" REC("'F32'", "[4]", "[4,8]") "}"), 8, "st.size-mismatch", 0 },
	{ "largest range, small shape", DOC("{^'a':" U8("[4]", "[0,9007199254740991]") "}"), 4, "st.size-mismatch", 0 },
	{ "first in the header is named", DOC("{^'b':" U8("[5]", "[4,8]") ",'a':" U8("[5]", "[0,4]") "}"), 8, "st.size-mismatch", 0 },

	/* offsets */
	{ "offset 2^53", DOC("{'a':" U8("[4]", "[0,^9007199254740992]") "}"), 4, "json.range", 0 },
	{ "offset 2^64", DOC("{'a':" U8("[4]", "[^18446744073709551616,4]") "}"), 4, "json.range", 0 },
	{ "offset -4", DOC("{'a':" U8("[4]", "[^-4,0]") "}"), 4, "json.number", 0 },
	{ "offset -0", DOC("{'a':" U8("[4]", "[^-0,4]") "}"), 4, "json.number", 0 },
	{ "offset 4.0", DOC("{'a':" U8("[4]", "[0,^4.0]") "}"), 4, "json.number", 0 },
	{ "offset 04", DOC("{'a':" U8("[4]", "[0,^04]") "}"), 4, "json.number", 0 },
	{ "offset as string", DOC("{'a':" U8("[4]", "[0,^'4']") "}"), 4, "json.type", 0 },
	{ "offset null", DOC("{'a':" U8("[4]", "[^null,4]") "}"), 4, "json.type", 0 },
	{ "offsets null", DOC("{'a':" U8("[4]", "^null") "}"), 4, "json.type", 0 },
	{ "offsets as object", DOC("{'a':" U8("[4]", "^{'0':4}") "}"), 4, "json.type", 0 },
	{ "offsets with comma behind", DOC("{'a':" U8("[4]", "[0,4,^]") "}"), 4, "json.syntax", 0 },
	{ "no offset", DOC("{'a':" U8("[4]", "^[]") "}"), 4, "st.offset-count", 0 },
	{ "one offset", DOC("{'a':" U8("[4]", " ^[4]") "}"), 4, "st.offset-count", 0 },
	{ "three offsets", DOC("{'a':" U8("[4]", "^[0,4,4]") "}"), 4, "st.offset-count", 0 },
	{ "offsets reversed", DOC("{'a':" U8("[4]", "^[4,0]") "}"), 4, "st.offset-order", 0 },
	{ "offsets reversed, far out", DOC("{'a':" U8("[4]", "^[9007199254740991,3]") "}"), 4, "st.offset-order", 0 },
	{ "start not at 0", DOC("{^'a':" U8("[4]", "[1,5]") "}"), 5, "st.offset-gap", 0 },
	{ "hole", DOC("{'a':" U8("[4]", "[0,4]") ",^'b':" U8("[4]", "[5,9]") "}"), 9, "st.offset-gap", 0 },
	{ "hole, header in other order", DOC("{^'b':" U8("[4]", "[5,9]") ",'a':" U8("[4]", "[0,4]") "}"), 9, "st.offset-gap", 0 },
	{ "hole before an empty one", DOC("{'a':" R4 ",^'b':" U8("[0]", "[5,5]") "}"), 5, "st.offset-gap", 0 },
	{ "overlap of one byte", DOC("{'a':" R4 ",^'b':" U8("[4]", "[3,7]") "}"), 7, "st.offset-overlap", 0 },
	{ "same range, two names", DOC("{'a':" R4 ",^'b':" R4 "}"), 4, "st.offset-overlap", 0 },
	{ "one inside the other", DOC("{'a':" R4 ",^'b':" U8("[2]", "[1,3]") "}"), 4, "st.offset-overlap", 0 },
	{ "empty one inside another", DOC("{'a':" R4 ",^'b':" U8("[0]", "[2,2]") "}"), 4, "st.offset-overlap", 0 },
	{ "ten on one range", DOC("{'a':" R4 ",^'b':" R4 ",'c':" R4 ",'d':" R4 ",'e':" R4 ",'f':" R4 ",'g':" R4 ",'h':" R4 ",'i':" R4 ",'j':" R4 "}"), 4, "st.offset-overlap", 0 },
	{ "overlap and then a hole", DOC("{'a':" R4 ",'c':" U8("[1]", "[9,10]") ",^'b':" U8("[4]", "[2,6]") "}"), 10, "st.offset-overlap", 0 },

	/* the end of the payload */
	{ "one byte too many", DOC("{'a':" R4 "}"), 5, "st.trailing", 4 },
	{ "no tensor, one byte", DOC("{}"), 1, "st.trailing", 0 },
	{ "empty tensor, one byte", DOC("{'a':" U8("[0]", "[0,0]") "}"), 1, "st.trailing", 0 },
	{ "metadata only, one byte", DOC("{'__metadata__':{}}"), 1, "st.trailing", 0 },
	{ "one byte too few", DOC("{'a':" R4 "}"), 3, "st.truncated", 3 },
	{ "no payload", DOC("{'a':" R4 "}"), 0, "st.truncated", 0 },
	{ "last of two cut", DOC("{'b':" U8("[4]", "[4,8]") ",'a':" R4 "}"), 7, "st.truncated", 7 },
	{ "beyond any file", DOC("{'a':" U8("[281474976710655,31]", "[0,8725724278030305]") "}"), 4, "st.truncated", 4 },

	/* metadata */
	{ "metadata twice", DOC("{'__metadata__':{},^'__metadata__':{},'a':" R4 "}"), 4, "st.meta-twice", 0 },
	{ "metadata twice, tensor between", DOC("{'__metadata__':{},'a':" R4 ",^'__metadata__':{}}"), 4, "st.meta-twice", 0 },
	{ "metadata twice, second escaped", DOC("{'__metadata__':{},^'__met\\u0061data__':{}}"), 0, "st.meta-twice", 0 },
	{ "metadata key twice", DOC("{^'__metadata__':{'k':'1','l':'','k':'2'}}"), 0, "st.meta-twice", 0 },
	{ "metadata key twice, second escaped", DOC("{^'__metadata__':{'k':'1','\\u006b':'1'}}"), 0, "st.meta-twice", 0 },
	{ "metadata empty key twice", DOC("{^'__metadata__':{'':'1','':'2'}}"), 0, "st.meta-twice", 0 },
	{ "metadata null", DOC("{'__metadata__':^null,'a':" R4 "}"), 4, "json.type", 0 },
	{ "metadata array", DOC("{'__metadata__':^[],'a':" R4 "}"), 4, "json.type", 0 },
	{ "metadata string", DOC("{'__metadata__':^'pt'}"), 0, "json.type", 0 },
	{ "metadata value number", DOC("{'__metadata__':{'k':^1}}"), 0, "json.type", 0 },
	{ "metadata value null", DOC("{'__metadata__':{'k':^null}}"), 0, "json.type", 0 },
	{ "metadata value true", DOC("{'__metadata__':{'k':^true}}"), 0, "json.type", 0 },
	{ "metadata value object", DOC("{'__metadata__':{'k':^{}}}"), 0, "json.type", 0 },
	{ "metadata value array", DOC("{'__metadata__':{'k':^['v']}}"), 0, "json.type", 0 },
	{ "metadata key with NUL", DOC("{'__metadata__':{^'k\\u0000':'v'}}"), 0, "st.name-control", 0 },
	{ "metadata value no UTF-8", DOC("{'__metadata__':{'k':'^\xff'}}"), 0, "json.utf8", 0 },
	{ "metadata value lone surrogate", DOC("{'__metadata__':{'k':'^\\udfff'}}"), 0, "json.escape", 0 },
	{ "metadata value control", DOC("{'__metadata__':{'k':'^\x01'}}"), 0, "json.control", 0 },
	{ "metadata comma behind", DOC("{'__metadata__':{'k':'v',^}}"), 0, "json.syntax", 0 },
	{ "metadata with another case", DOC("{^'__METADATA__':{}}"), 0, "st.field-missing", 0 },
	{ "metadata as a tensor", DOC("{'__metadata__':{'dtype':'U8','shape':^[4],'data_offsets':[0,4]}}"), 4, "json.type", 0 },

	/* the document */
	{ "array", DOC("^[]"), 0, "st.header-start", 0 },
	{ "null", DOC("^null"), 0, "st.header-start", 0 },
	{ "byte order mark", DOC("^\xef\xbb\xbf{}"), 0, "st.header-start", 0 },
	{ "space in front", DOC("^ {}"), 0, "st.header-start", 0 },
	{ "tab in front", DOC("^\t{}"), 0, "st.header-start", 0 },
	{ "newline in front", DOC("^\n{}"), 0, "st.header-start", 0 },
	{ "NUL in front", DOC("^\0{}"), 0, "st.header-start", 0 },
	{ "brace alone", DOC("{ ^"), 0, "json.cut", 0 },
	{ "cut in a name", DOC("{'abc^"), 0, "json.cut", 0 },
	{ "cut behind a name", DOC("{'abc'^"), 0, "json.cut", 0 },
	{ "cut behind a record", DOC("{'a':" R4 "^"), 4, "json.cut", 0 },
	{ "cut behind a record, padded", DOC("{'a':" R4 "   ^"), 4, "json.cut", 0 },
	{ "cut in the offsets", DOC("{'a':{" T "," S ",'data_offsets':[0,4^"), 4, "json.cut", 0 },
	{ "comma behind the last", DOC("{'a':" R4 ",^}"), 4, "json.syntax", 0 },
	{ "comma behind the last field", DOC("{'a':{" T "," S "," D ",^}}"), 4, "json.syntax", 0 },
	{ "comma in front", DOC("{^,'a':" R4 "}"), 4, "json.syntax", 0 },
	{ "two commas", DOC("{'a':" R4 ",^,'b':" U8("[0]", "[4,4]") "}"), 4, "json.syntax", 0 },
	{ "no comma", DOC("{'a':" R4 "^'b':" U8("[0]", "[4,4]") "}"), 4, "json.syntax", 0 },
	{ "no colon", DOC("{'a'^" R4 "}"), 4, "json.syntax", 0 },
	{ "comment", DOC("{ ^/**/'a':" R4 "}"), 4, "json.syntax", 0 },
	{ "comment behind", DOC("{'a':" R4 "}^//"), 4, "json.trailing", 0 },
	{ "closed by a bracket", DOC("{'a':" R4 "^]"), 4, "json.syntax", 0 },
	{ "second document", DOC("{'a':" R4 "}^{}"), 4, "json.trailing", 0 },
	{ "second document behind spaces", DOC("{}   ^{}"), 0, "json.trailing", 0 },
	{ "garbage behind", DOC("{}^x"), 0, "json.trailing", 0 },
	{ "brace too many", DOC("{}^}"), 0, "json.trailing", 0 },
	{ "newline behind", DOC("{}^\n"), 0, "json.trailing", 0 },
	{ "tab behind spaces", DOC("{}  ^\t"), 0, "json.trailing", 0 },
	{ "carriage return behind", DOC("{}^\r"), 0, "json.trailing", 0 },
	{ "NUL padding", DOC("{}^\0\0\0\0\0\0"), 0, "json.syntax", 0 },
	{ "NUL for a space", DOC("{'a':^\0" R4 "}"), 4, "json.syntax", 0 },
	{ "form feed for a space", DOC("{ ^\f'a':" R4 "}"), 4, "json.syntax", 0 },
	{ "no-break space for a space", DOC("{^\xc2\xa0'a':" R4 "}"), 4, "json.syntax", 0 },
};

/* Files given byte by byte. */
static const struct st_raw {
	const char *name, *bytes;
	size_t n;
	uint64_t size; /* that the reader is told; 0: n */
	uint64_t cap;  /* of the header; 0: the usual one */
	const char *rule;
	uint64_t pos;
} st_raw[] = {
	{ "empty file", DOC(""), 0, 0, "st.file-short", 0 },
	{ "one byte", DOC("{"), 0, 0, "st.file-short", 0 },
	{ "seven bytes", DOC("\2\0\0\0\0\0\0"), 0, 0, "st.file-short", 0 },
	{ "length 0, nothing else", DOC("\0\0\0\0\0\0\0\0"), 0, 0, "st.header-short", 0 },
	{ "length 0", DOC("\0\0\0\0\0\0\0\0{}"), 0, 0, "st.header-short", 0 },
	{ "length 1, nothing else", DOC("\1\0\0\0\0\0\0\0"), 0, 0, "st.header-short", 0 },
	{ "length 1", DOC("\1\0\0\0\0\0\0\0{"), 0, 0, "st.header-short", 0 },
	{ "zeros only", DOC("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), 0, 0, "st.header-short", 0 },
	{ "length 2, nothing else", DOC("\2\0\0\0\0\0\0\0"), 0, 0, "st.header-beyond", 0 },
	{ "length 2, one byte", DOC("\2\0\0\0\0\0\0\0{"), 0, 0, "st.header-beyond", 0 },
	{ "length one too many", DOC("\3\0\0\0\0\0\0\0{}"), 0, 0, "st.header-beyond", 0 },
	{ "length 2^63", DOC("\0\0\0\0\0\0\0\x80{}"), 0, 0, "st.header-beyond", 0 },
	{ "length 2^64-8: 8 more wrap to 0", DOC("\xf8\xff\xff\xff\xff\xff\xff\xff{}"), 0, 0, "st.header-beyond", 0 },
	{ "length 2^64-1", DOC("\xff\xff\xff\xff\xff\xff\xff\xff{}"), 0, 0, "st.header-beyond", 0 },
	{ "length 2^32+2", DOC("\2\0\0\0\1\0\0\0{}"), 0, 0, "st.header-beyond", 0 },
	{ "length in big endian", DOC("\0\0\0\0\0\0\0\2{}"), 0, 0, "st.header-beyond", 0 },
	{ "length one above the cap", DOC("\x01\xe1\xf5\x05\0\0\0\0{}                      "), 200000000, 0, "st.header-cap", 0 },
	{ "length above a cap of 2", DOC("\3\0\0\0\0\0\0\0{} "), 0, 2, "st.header-cap", 0 },
	{ "length above the size of the file and the cap", DOC("\x01\xe1\xf5\x05\0\0\0\0{}"), 0, 0, "st.header-beyond", 0 },
	{ "Git-LFS pointer", DOC("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n"), 0, 0, "st.header-beyond", 0 },
	{ "HTML", DOC("<!DOCTYPE html><html></html>"), 0, 0, "st.header-beyond", 0 },
	{ "zip", DOC("PK\3\4\24\0\0\0\10\0\0\0"), 0, 0, "st.header-beyond", 0 },
	{ "GGUF", DOC("GGUF\3\0\0\0\1\0\0\0\0\0\0\0"), 0, 0, "st.header-beyond", 0 },
	{ "header without its length", DOC("{'a':" R4 "}1234"), 0, 0, "st.header-beyond", 0 },
	{ "shorter than its size, in the length", DOC("\2\0\0\0"), 10, 0, "file.short", 4 },
	{ "shorter than its size, in the header", DOC("\2\0\0\0\0\0\0\0{"), 10, 0, "file.short", 9 },
	{ "nothing there", DOC(""), 10, 0, "file.short", 0 },
};

/* What is taken. A tensor is told as: name type [shape] begin end; one after the other, in header
 * order; metadata as a star in front. */
static const struct st_good {
	const char *name, *text;
	size_t n;
	uint64_t payload;
	const char *tensors;
} st_good[] = {
	{ "no tensor", DOC("{}"), 0, "" },
	{ "no tensor, padded", DOC("{}      "), 0, "" },
	{ "space inside of nothing", DOC("{ }"), 0, "" },
	{ "metadata only", DOC("{'__metadata__':{'format':'pt'}}"), 0, "*" },
	{ "metadata empty", DOC("{'__metadata__':{}}"), 0, "*" },
	{ "metadata with escapes", DOC("{'__metadata__':{'a\\nb':'\\u0000\\ud83d\\ude00','':'','\\\\':'\\''}}"), 0, "*" },
	{ "metadata first", DOC("{'__metadata__':{'k':'v'},'a':" R4 "}"), 4, "*a U8 [4] 0 4;" },
	{ "metadata last", DOC("{'a':" R4 ",'__metadata__':{'k':'v'}}"), 4, "*a U8 [4] 0 4;" },
	{ "metadata between", DOC("{'a':" R4 ",'__metadata__':{},'b':" U8("[1]", "[4,5]") "}"), 5, "*a U8 [4] 0 4;b U8 [1] 4 5;" },
	{ "metadata spelled with an escape", DOC("{'\\u005f_metadata__':{'k':'v'}}"), 0, "*" },
	{ "metadata with keys of tensors", DOC("{'__metadata__':{'a':'','dtype':'x'},'a':" R4 "}"), 4, "*a U8 [4] 0 4;" },
	{ "metadata as 0.3 wrote it", DOC("{'__metadata__':{'format':'pt'},'w':" REC("'F16'", "[2,2]", "[0,8]") "}   "), 8, "*w F16 [2,2] 0 8;" },
	{ "one tensor", DOC("{'a':" R4 "}"), 4, "a U8 [4] 0 4;" },
	{ "header not a multiple of 8", DOC("{'ab':" R4 "} "), 4, "ab U8 [4] 0 4;" },
	{ "7 spaces behind", DOC("{'a':" R4 "}       "), 4, "a U8 [4] 0 4;" },
	{ "fields in another order", DOC("{'a':{" S "," D "," T "}}"), 4, "a U8 [4] 0 4;" },
	{ "fields in reverse", DOC("{'a':{" D "," S "," T "}}"), 4, "a U8 [4] 0 4;" },
	{ "offsets first", DOC("{'a':{" D "," T "," S "}}"), 4, "a U8 [4] 0 4;" },
	{ "shape before type", DOC("{'a':{" S "," T "," D "}}"), 4, "a U8 [4] 0 4;" },
	{ "offsets in the middle", DOC("{'a':{" T "," D "," S "}}"), 4, "a U8 [4] 0 4;" },
	{ "white space everywhere", DOC("{ 'a' :\t{ 'dtype'\n: 'U8' ,\r'shape' : [ 2 , 2 ] , 'data_offsets' : [ 0 ,\n4 ] } } "), 4, "a U8 [2,2] 0 4;" },
	{ "newline before the last brace", DOC("{'a':" R4 "\n}"), 4, "a U8 [4] 0 4;" },
	{ "header order is not payload order", DOC("{'a':" U8("[1]", "[3,4]") ",'b':" U8("[3]", "[0,3]") "}"), 4, "a U8 [1] 3 4;b U8 [3] 0 3;" },
	{ "names not sorted", DOC("{'b':" U8("[1]", "[0,1]") ",'a':" U8("[1]", "[1,2]") "}"), 2, "b U8 [1] 0 1;a U8 [1] 1 2;" },
	{ "scalar", DOC("{'a':" U8("[]", "[0,1]") "}"), 1, "a U8 [] 0 1;" },
	{ "scalar, space in the shape", DOC("{'a':" U8("[ ]", "[0,1]") "}"), 1, "a U8 [] 0 1;" },
	{ "scalar F64", DOC("{'a':" REC("'F64'", "[]", "[0,8]") "}"), 8, "a F64 [] 0 8;" },
	{ "zero-size", DOC("{'a':" U8("[0]", "[0,0]") "}"), 0, "a U8 [0] 0 0;" },
	{ "zero-size, several dimensions", DOC("{'a':" U8("[2,0,3]", "[0,0]") "}"), 0, "a U8 [2,0,3] 0 0;" },
	{ "zero-size, huge others", DOC("{'a':" U8("[281474976710655,8191,0]", "[0,0]") "}"), 0, "a U8 [281474976710655,8191,0] 0 0;" },
	{ "zero-size at the start", DOC("{'z':" U8("[0]", "[0,0]") ",'a':" R4 "}"), 4, "z U8 [0] 0 0;a U8 [4] 0 4;" },
	{ "zero-size at the start, named later", DOC("{'a':" R4 ",'z':" U8("[0]", "[0,0]") "}"), 4, "a U8 [4] 0 4;z U8 [0] 0 0;" },
	{ "zero-size between", DOC("{'a':" U8("[2]", "[0,2]") ",'z':" U8("[0]", "[2,2]") ",'b':" U8("[2]", "[2,4]") "}"), 4, "a U8 [2] 0 2;z U8 [0] 2 2;b U8 [2] 2 4;" },
	{ "zero-size at the end", DOC("{'z':" U8("[0]", "[4,4]") ",'a':" R4 "}"), 4, "z U8 [0] 4 4;a U8 [4] 0 4;" },
	{ "several zero-size at one place", DOC("{'x':" U8("[0]", "[0,0]") ",'y':" U8("[0]", "[0,0]") ",'z':" REC("'U64'", "[0]", "[0,0]") "}"), 0, "x U8 [0] 0 0;y U8 [0] 0 0;z U64 [0] 0 0;" },
	{ "F4 zero-size", DOC("{'a':" REC("'F4'", "[3,0]", "[0,0]") "}"), 0, "a F4 [3,0] 0 0;" },
	{ "F4 with odd rows", DOC("{'a':" REC("'F4'", "[2,3]", "[0,3]") "}"), 3, "a F4 [2,3] 0 3;" },
	{ "F4 with odd dimensions and one even", DOC("{'a':" REC("'F4'", "[3,5,2]", "[0,15]") "}"), 15, "a F4 [3,5,2] 0 15;" },
	{ "F6 of 4", DOC("{'a':" REC("'F6_E2M3'", "[4]", "[0,3]") "}"), 3, "a F6_E2M3 [4] 0 3;" },
	{ "F6 of 2 x 2", DOC("{'a':" REC("'F6_E3M2'", "[2,2]", "[0,3]") "}"), 3, "a F6_E3M2 [2,2] 0 3;" },
	{ "eight dimensions", DOC("{'a':" U8("[1,1,2,1,1,2,1,1]", "[0,4]") "}"), 4, "a U8 [1,1,2,1,1,2,1,1] 0 4;" },
	{ "largest dimension", DOC("{'a':" U8("[281474976710655]", "[0,281474976710655]") "}"), 281474976710655, "a U8 [281474976710655] 0 281474976710655;" },
	{ "largest payload", DOC("{'a':" U8("[6361,69431,20394401]", "[0,9007199254740991]") "}"), 9007199254740991, "a U8 [6361,69431,20394401] 0 9007199254740991;" },
	{ "empty one at the largest offset", DOC("{'a':" U8("[6361,69431,20394401]", "[0,9007199254740991]") ",'b':" U8("[0]", "[9007199254740991,9007199254740991]") "}"), 9007199254740991, "a U8 [6361,69431,20394401] 0 9007199254740991;b U8 [0] 9007199254740991 9007199254740991;" },
	{ "F64 at an odd offset", DOC("{'a':" U8("[1]", "[0,1]") ",'b':" REC("'F64'", "[1]", "[1,9]") "}"), 9, "a U8 [1] 0 1;b F64 [1] 1 9;" },
	{ "U64 at an odd offset", DOC("{'a':" U8("[3]", "[0,3]") ",'b':" REC("'U64'", "[]", "[3,11]") "}"), 11, "a U8 [3] 0 3;b U64 [] 3 11;" },
	{ "name with a path", DOC("{'../../etc/passwd':" R4 "}"), 4, "../../etc/passwd U8 [4] 0 4;" },
	{ "name with a format", DOC("{'%s%n':" R4 "}"), 4, "%s%n U8 [4] 0 4;" },
	{ "name with quote and backslash", DOC("{'a\\'b\\\\c':" R4 "}"), 4, "a\"b\\c U8 [4] 0 4;" },
	{ "name with a slash escaped", DOC("{'a\\/b':" R4 "}"), 4, "a/b U8 [4] 0 4;" },
	{ "name with a letter escaped", DOC("{'\\u0061\\u0062':" R4 "}"), 4, "ab U8 [4] 0 4;" },
	{ "name with a pair of surrogates", DOC("{'\\ud83d\\ude00':" R4 "}"), 4, "\xf0\x9f\x98\x80 U8 [4] 0 4;" },
	{ "name in UTF-8", DOC("{'\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80':" R4 "}"), 4, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 U8 [4] 0 4;" },
	{ "name with a C1 control", DOC("{'\\u0085':" R4 "}"), 4, "\xc2\x85 U8 [4] 0 4;" },
	{ "name of a space", DOC("{' ':" R4 "}"), 4, "  U8 [4] 0 4;" },
	{ "names not normalised alike", DOC("{'\xc3\xa4':" U8("[1]", "[0,1]") ",'a\xcc\x88':" U8("[1]", "[1,2]") "}"), 2, "\xc3\xa4 U8 [1] 0 1;a\xcc\x88 U8 [1] 1 2;" },
	{ "names that differ in case", DOC("{'a':" U8("[1]", "[0,1]") ",'A':" U8("[1]", "[1,2]") "}"), 2, "a U8 [1] 0 1;A U8 [1] 1 2;" },
	{ "name that begins another", DOC("{'a':" U8("[1]", "[0,1]") ",'a.b':" U8("[1]", "[1,2]") "}"), 2, "a U8 [1] 0 1;a.b U8 [1] 1 2;" },
	{ "names of fields", DOC("{'dtype':" U8("[1]", "[0,1]") ",'shape':" U8("[1]", "[1,2]") ",'data_offsets':" U8("[1]", "[2,3]") "}"), 3, "dtype U8 [1] 0 1;shape U8 [1] 1 2;data_offsets U8 [1] 2 3;" },
	{ "nearly metadata", DOC("{'__metadata':" U8("[1]", "[0,1]") ",'__metadata___':" U8("[1]", "[1,2]") "}"), 2, "__metadata U8 [1] 0 1;__metadata___ U8 [1] 1 2;" },
	{ "experts as published", DOC("{'layers.0.ffn.experts.0.w1.scale':" REC("'F8_E8M0'", "[2,1]", "[64,66]") ",'layers.0.ffn.experts.0.w1.weight':" REC("'I8'", "[2,32]", "[0,64]") "}"), 66, "layers.0.ffn.experts.0.w1.scale F8_E8M0 [2,1] 64 66;layers.0.ffn.experts.0.w1.weight I8 [2,32] 0 64;" },
};
/* clang-format on */

/* The names are for the tables above only. */
#undef T
#undef S
#undef D
#endif
