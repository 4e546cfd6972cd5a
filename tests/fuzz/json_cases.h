/* json_cases.h -- documents that the JSON reader takes, with what it reads, and ones that it
 * refuses, with the rule and the byte.
 *
 * They are written with ' for the double quote; ^ stands before the byte that the report is to
 * name. Neither is part of what is read. They may hold NUL bytes.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_JSON_CASES_H
#define TESTS_FUZZ_JSON_CASES_H
#include <stddef.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define DOC(s) (s), sizeof(s) - 1

/* What is taken; events as in json_walk.h. */
/* clang-format off */
static const struct {
	const char *doc;
	size_t n;
	const char *events;
} json_good[] = {
	{ DOC("0"), "0 " },
	{ DOC("1"), "1 " },
	{ DOC("10"), "10 " },
	{ DOC("9007199254740991"), "9007199254740991 " },
	{ DOC("9223372036854775808"), "9223372036854775808 " },
	{ DOC("18446744073709551615"), "18446744073709551615 " },
	{ DOC("''"), "'' " },
	{ DOC("'a'"), "'a' " },
	{ DOC("'two words'"), "'two<20>words' " },
	{ DOC("'\\''"), "'\"' " },
	{ DOC("'\\\\'"), "'\\' " },
	{ DOC("'\\/'"), "'/' " },
	{ DOC("'/'"), "'/' " },
	{ DOC("'\\b\\f\\n\\r\\t'"), "'<08><0c><0a><0d><09>' " },
	{ DOC("'\\\\\\''"), "'\\\"' " },
	{ DOC("'\\\\n'"), "'\\n' " },
	{ DOC("'\x7f'"), "'<7f>' " },
	{ DOC("'\\u0000'"), "'<00>' " },
	{ DOC("'a\\u0000b'"), "'a<00>b' " },
	{ DOC("'\\u0001\\u001f'"), "'<01><1f>' " },
	{ DOC("'\\u0041\\u005a'"), "'AZ' " },
	{ DOC("'\\u007f\\u0080'"), "'<7f><c2><80>' " },
	{ DOC("'\\u07ff\\u0800'"), "'<df><bf><e0><a0><80>' " },
	{ DOC("'\\uABCD\\uabcd\\uAbCd'"), "'<ea><af><8d><ea><af><8d><ea><af><8d>' " },
	{ DOC("'\\ud7ff\\ue000\\uffff'"), "'<ed><9f><bf><ee><80><80><ef><bf><bf>' " },
	{ DOC("'\\ud800\\udc00'"), "'<f0><90><80><80>' " },
	{ DOC("'\\uD83D\\uDE00'"), "'<f0><9f><98><80>' " },
	{ DOC("'\\udbff\\udfff'"), "'<f4><8f><bf><bf>' " },
	{ DOC("'\\ud800\\udc00\\ud83d\\ude00x'"), "'<f0><90><80><80><f0><9f><98><80>x' " },
	{ DOC("'\xc2\x80\xdf\xbf'"), "'<c2><80><df><bf>' " },
	{ DOC("'\xe0\xa0\x80\xed\x9f\xbf'"), "'<e0><a0><80><ed><9f><bf>' " },
	{ DOC("'\xee\x80\x80\xef\xbf\xbf'"), "'<ee><80><80><ef><bf><bf>' " },
	{ DOC("'\xef\xbb\xbf'"), "'<ef><bb><bf>' " },
	{ DOC("'\xf0\x90\x80\x80\xf4\x8f\xbf\xbf'"), "'<f0><90><80><80><f4><8f><bf><bf>' " },
	{ DOC("'a\xc3\xa4\\u00e4z'"), "'a<c3><a4><c3><a4>z' " },
	{ DOC("[]"), "[ ] " },
	{ DOC("{}"), "{ } " },
	{ DOC("[ ]"), "[ ] " },
	{ DOC("{\t}"), "{ } " },
	{ DOC("[1]"), "[ 1 ] " },
	{ DOC("[1,2,3]"), "[ 1 2 3 ] " },
	{ DOC("['',0,[],{}]"), "[ '' 0 [ ] { } ] " },
	{ DOC("{'a':1}"), "{ a= 1 } " },
	{ DOC("{'':''}"), "{ = '' } " },
	{ DOC("{'a':1,'b':[2],'c':{'d':'e'}}"), "{ a= 1 b= [ 2 ] c= { d= 'e' } } " },
	{ DOC("{'a':1,'a':2}"), "{ a= 1 a= 2 } " }, /* repetition is the caller's affair */
	{ DOC("{'\\u0061\\'':1}"), "{ a\"= 1 } " },
	{ DOC("{'k\\u0000':1}"), "{ k<00>= 1 } " },
	{ DOC("{'\xf0\x9f\x98\x80':1}"), "{ <f0><9f><98><80>= 1 } " },
	{ DOC("[[[[[[[[]]]]]]]]"), "[ [ [ [ [ [ [ [ ] ] ] ] ] ] ] ] " },
	{ DOC("{'a':{'a':{'a':{}}}}"), "{ a= { a= { a= { } } } } " },
	{ DOC("[{},[{}],{'x':[]}]"), "[ { } [ { } ] { x= [ ] } ] " },
	{ DOC(" \t\r\n{ \t'a'\r:\n1 , 'b' : [ 1 , 2 ] } \n\t\r "), "{ a= 1 b= [ 1 2 ] } " },
	{ DOC("[true,false,null]"), "[ ~ ~ ~ ] " },
	{ DOC("null"), "~ " },
	{ DOC("{'a' :true }"), "{ a= ~ } " },
	{ DOC("[0,0 ,0\n,0\t,0\r]"), "[ 0 0 0 0 0 ] " },
	{ DOC("{'a.b-c_d/e\\\\f':'\\t'}"), "{ a.b-c_d/e\\f= '<09>' } " },
};
/* clang-format on */

/* The calls that lead to the refusal, a letter each, of which the last one fails: o object, a
 * array, k key, i item, s string, d string dropped, u number, x skip, p peek, e end, E end with
 * white space, w the whole document. These are the limits that they are called with. */
enum { TABLE_DEPTH = 4, TABLE_STRING = 8, TABLE_NUMBER = 1000, TABLE_KEY = 16 };

/* clang-format off */
static const struct json_bad {
	const char *doc;
	size_t n;
	const char *calls, *rule;
} json_bad[] = {
	/* json.cut: the report names the byte where more was expected */
	{ DOC("^"), "w", "json.cut" },
	{ DOC("  ^"), "w", "json.cut" },
	{ DOC("^"), "o", "json.cut" },
	{ DOC("^"), "a", "json.cut" },
	{ DOC("^"), "s", "json.cut" },
	{ DOC("^"), "u", "json.cut" },
	{ DOC("\n^"), "x", "json.cut" },
	{ DOC("[^"), "w", "json.cut" },
	{ DOC("[1^"), "w", "json.cut" },
	{ DOC("[1 ^"), "w", "json.cut" },
	{ DOC("[1,^"), "w", "json.cut" },
	{ DOC("[[]^"), "w", "json.cut" },
	{ DOC("{^"), "w", "json.cut" },
	{ DOC("{'a'^"), "w", "json.cut" },
	{ DOC("{'a':^"), "w", "json.cut" },
	{ DOC("{'a':1^"), "w", "json.cut" },
	{ DOC("{'a':1,^"), "w", "json.cut" },
	{ DOC("{'a':{}^"), "w", "json.cut" },
	{ DOC("'^"), "w", "json.cut" },
	{ DOC("'abc^"), "w", "json.cut" },
	{ DOC("{'abc^"), "w", "json.cut" },
	{ DOC("'a\\n^"), "w", "json.cut" },
	{ DOC("'\xc3\xa4^"), "w", "json.cut" },
	{ DOC("[1^"), "x", "json.cut" },
	{ DOC("{'a':[^"), "x", "json.cut" },
	{ DOC("'abc^"), "x", "json.cut" },

	/* json.syntax */
	{ DOC("[1,^]"), "w", "json.syntax" },
	{ DOC("[1 , ^]"), "w", "json.syntax" },
	{ DOC("[1 ^2]"), "w", "json.syntax" },
	{ DOC("[1^}"), "w", "json.syntax" },
	{ DOC("['a'^'b']"), "w", "json.syntax" },
	{ DOC("[[]^[]]"), "w", "json.syntax" },
	{ DOC("{'a':1^]"), "w", "json.syntax" },
	{ DOC("{'a':1,^}"), "w", "json.syntax" },
	{ DOC("{'a':1 ^'b':2}"), "w", "json.syntax" },
	{ DOC("{'a' ^1}"), "ok", "json.syntax" },
	{ DOC("{'a' ^1}"), "w", "json.syntax" },
	{ DOC("{'a'^,1}"), "w", "json.syntax" },
	{ DOC("{'a'^}"), "w", "json.syntax" },
	{ DOC("{'a'^=1}"), "w", "json.syntax" },
	{ DOC("{^,}"), "w", "json.syntax" },
	{ DOC("{^1:2}"), "w", "json.syntax" },
	{ DOC("{^a:2}"), "w", "json.syntax" },
	{ DOC("{^[]:2}"), "w", "json.syntax" },
	{ DOC("{'a':1,^,'b':2}"), "w", "json.syntax" },
	{ DOC("{'a':1, ^1}"), "w", "json.syntax" },
	{ DOC("{'a':[]^;'b':2}"), "w", "json.syntax" },
	{ DOC("{'a':1 ^/**/}"), "w", "json.syntax" },
	{ DOC("{ ^/**/'a':1}"), "w", "json.syntax" },
	{ DOC("[1 ^//\n]"), "w", "json.syntax" },
	{ DOC("[1 ^\v]"), "w", "json.syntax" },
	{ DOC("[1 ^\f]"), "w", "json.syntax" },
	{ DOC("[1 ^\xc2\xa0]"), "w", "json.syntax" },
	{ DOC("^\0"), "w", "json.syntax" },
	{ DOC("{^\0}"), "w", "json.syntax" },
	{ DOC("[1^\0]"), "w", "json.syntax" },
	{ DOC("'a^\0'"), "w", "json.syntax" },
	{ DOC("'a\\^\0'"), "w", "json.syntax" },
	{ DOC("'\\u00^\0" "0'"), "w", "json.syntax" },
	{ DOC("'\xe2\x82^\0'"), "w", "json.syntax" },
	{ DOC("1^\0"), "w", "json.syntax" },
	{ DOC("1^\0"), "u", "json.syntax" },
	{ DOC("[]^\0"), "xe", "json.syntax" },
	{ DOC("^]"), "x", "json.syntax" },
	{ DOC("^,"), "x", "json.syntax" },
	{ DOC("[^,1]"), "x", "json.syntax" },
	{ DOC("{'a':^}"), "x", "json.syntax" },
	{ DOC("^NaN"), "x", "json.syntax" },
	{ DOC("^\xef\xbb\xbf{}"), "x", "json.syntax" },
	{ DOC("tru^'"), "x", "json.syntax" },
	{ DOC("[1^:2]"), "x", "json.syntax" },
	{ DOC("{'a':1^:2}"), "x", "json.syntax" },
	{ DOC("{'a':1e5^x}"), "x", "json.syntax" },

	/* json.type */
	{ DOC("^[]"), "o", "json.type" },
	{ DOC("^'a'"), "o", "json.type" },
	{ DOC("^1"), "o", "json.type" },
	{ DOC("^null"), "o", "json.type" },
	{ DOC("^\xef\xbb\xbf{}"), "o", "json.type" },
	{ DOC(" ^{}"), "a", "json.type" },
	{ DOC("^'a'"), "a", "json.type" },
	{ DOC("{'a': ^{}}"), "oka", "json.type" },
	{ DOC("^1"), "s", "json.type" },
	{ DOC("^{}"), "s", "json.type" },
	{ DOC("^null"), "s", "json.type" },
	{ DOC("[^[]]"), "ais", "json.type" },
	{ DOC("^'1'"), "u", "json.type" },
	{ DOC("^[]"), "u", "json.type" },
	{ DOC("^null"), "u", "json.type" },
	{ DOC("^true"), "u", "json.type" },
	{ DOC("^.5"), "u", "json.type" },
	{ DOC("^NaN"), "u", "json.type" },
	{ DOC("^Infinity"), "u", "json.type" },
	{ DOC("[^,]"), "aiu", "json.type" },
	{ DOC("[^}"), "w", "json.type" },
	{ DOC("{'a':^}"), "w", "json.type" },
	{ DOC("{'a':^,}"), "w", "json.type" },
	{ DOC("[^,1]"), "w", "json.type" },
	{ DOC("^]"), "w", "json.type" },
	{ DOC("^\x80"), "w", "json.type" },

	/* json.number */
	{ DOC("^-1"), "u", "json.number" },
	{ DOC("^-0"), "u", "json.number" },
	{ DOC("^+1"), "u", "json.number" },
	{ DOC("^-"), "u", "json.number" },
	{ DOC("^00"), "u", "json.number" },
	{ DOC("^01"), "u", "json.number" },
	{ DOC("^007"), "u", "json.number" },
	{ DOC("^4.0"), "u", "json.number" },
	{ DOC("^0.0"), "u", "json.number" },
	{ DOC("^4."), "u", "json.number" },
	{ DOC("^4e0"), "u", "json.number" },
	{ DOC("^4E+0"), "u", "json.number" },
	{ DOC("^0e0"), "u", "json.number" },
	{ DOC("^0x10"), "u", "json.number" },
	{ DOC("^1_0"), "u", "json.number" },
	{ DOC("^1u"), "u", "json.number" },
	{ DOC("^1'a'"), "u", "json.number" },
	{ DOC("^1[]"), "u", "json.number" },
	{ DOC("^1\xd9\xa1"), "u", "json.number" }, /* an Arabic digit */
	{ DOC("[1,^-1]"), "w", "json.number" },
	{ DOC("{'a':^1/**/}"), "w", "json.number" },

	/* json.range */
	{ DOC("^1001"), "u", "json.range" },
	{ DOC("^10000"), "u", "json.range" },
	{ DOC("[1000,^1001]"), "aiuiu", "json.range" },
	{ DOC("^18446744073709551616"), "w", "json.range" },
	{ DOC("^18446744073709551617"), "w", "json.range" },
	{ DOC("^18446744073709551625"), "w", "json.range" },
	{ DOC("^99999999999999999999"), "w", "json.range" },
	{ DOC("^184467440737095516150"), "w", "json.range" },
	{ DOC("^36893488147419103232"), "w", "json.range" }, /* 2^65: wraps to 0 */
	{ DOC("[^340282366920938463463374607431768211456]"), "w", "json.range" },

	/* json.escape */
	{ DOC("'^\\a'"), "w", "json.escape" },
	{ DOC("'^\\x41'"), "w", "json.escape" },
	{ DOC("'^\\0'"), "w", "json.escape" },
	{ DOC("'^\\`'"), "w", "json.escape" },
	{ DOC("'^\\N'"), "w", "json.escape" },
	{ DOC("'^\\U0041'"), "w", "json.escape" },
	{ DOC("'^\\\n'"), "w", "json.escape" },
	{ DOC("'^\\ '"), "w", "json.escape" },
	{ DOC("'^\\\xc3\xa4'"), "w", "json.escape" },
	{ DOC("'\\n^\\v'"), "w", "json.escape" },
	{ DOC("'^\\ud800'"), "w", "json.escape" },
	{ DOC("'^\\ud800x'"), "w", "json.escape" },
	{ DOC("'^\\ud800\\n'"), "w", "json.escape" },
	{ DOC("'^\\ud800\\u0041'"), "w", "json.escape" },
	{ DOC("'^\\ud800\\ud800'"), "w", "json.escape" },
	{ DOC("'^\\ud800\\ue000'"), "w", "json.escape" },
	{ DOC("'^\\udbff\\udbff\\udc00'"), "w", "json.escape" },
	{ DOC("'^\\udc00'"), "w", "json.escape" },
	{ DOC("'^\\udfff\\ud800'"), "w", "json.escape" },
	{ DOC("'\\ud83d\\ude00^\\ude00'"), "w", "json.escape" },
	{ DOC("{'a':'^\\ud800'}"), "w", "json.escape" },
	{ DOC("{'^\\udc00':1}"), "w", "json.escape" },
	{ DOC("'^\\q'"), "x", "json.escape" },
	{ DOC("'^\\q'"), "d", "json.escape" },

	/* json.control */
	{ DOC("'^\x01'"), "w", "json.control" },
	{ DOC("'^\n'"), "w", "json.control" },
	{ DOC("'a^\t'"), "w", "json.control" },
	{ DOC("'a^\x1f'"), "w", "json.control" },
	{ DOC("{'a^\r':1}"), "w", "json.control" },
	{ DOC("'a^\b'"), "x", "json.control" },

	/* json.utf8 */
	{ DOC("'^\x80'"), "w", "json.utf8" },
	{ DOC("'^\xbf'"), "w", "json.utf8" },
	{ DOC("'^\xc0\x80'"), "w", "json.utf8" },
	{ DOC("'^\xc1\xbf'"), "w", "json.utf8" },
	{ DOC("'^\xc2'"), "w", "json.utf8" },
	{ DOC("'^\xc2\xc2\x80'"), "w", "json.utf8" },
	{ DOC("'^\xe0\x80\x80'"), "w", "json.utf8" },
	{ DOC("'^\xe0\x9f\xbf'"), "w", "json.utf8" },
	{ DOC("'^\xe2\x82'"), "w", "json.utf8" },
	{ DOC("'^\xe2\x28\xa1'"), "w", "json.utf8" },
	{ DOC("'^\xed\xa0\x80'"), "w", "json.utf8" }, /* U+D800 */
	{ DOC("'^\xed\xbf\xbf'"), "w", "json.utf8" },
	{ DOC("'^\xed\xa0\xbd\xed\xb8\x80'"), "w", "json.utf8" }, /* CESU-8 */
	{ DOC("'^\xf0\x80\x80\x80'"), "w", "json.utf8" },
	{ DOC("'^\xf0\x8f\xbf\xbf'"), "w", "json.utf8" },
	{ DOC("'^\xf0\x9f\x98'"), "w", "json.utf8" },
	{ DOC("'^\xf4\x90\x80\x80'"), "w", "json.utf8" }, /* U+110000 */
	{ DOC("'^\xf5\x80\x80\x80'"), "w", "json.utf8" },
	{ DOC("'^\xf8\x88\x80\x80\x80'"), "w", "json.utf8" },
	{ DOC("'^\xfe'"), "w", "json.utf8" },
	{ DOC("'^\xff'"), "w", "json.utf8" },
	{ DOC("'\xc3\xa4^\xa4'"), "w", "json.utf8" },
	{ DOC("'abc^\xff" "def'"), "w", "json.utf8" },
	{ DOC("{'^\xff':1}"), "w", "json.utf8" },
	{ DOC("'^\xc3"), "w", "json.utf8" },
	{ DOC("'^\xf0\x9f\x98"), "w", "json.utf8" },
	{ DOC("'^\xff'"), "x", "json.utf8" },

	/* json.depth */
	{ DOC("[[[[^[]]]]]"), "w", "json.depth" },
	{ DOC("{'a':[{'a':[^{}]}]}"), "w", "json.depth" },
	{ DOC("[[[[^[]]]]]"), "x", "json.depth" },
	{ DOC("[[[[ ^{"), "x", "json.depth" },
	{ DOC("[1,[2,[3,[4,^[5]]]]]"), "aiuix", "json.depth" },

	/* json.long: the report names the opening quote */
	{ DOC("^'123456789'"), "s", "json.long" },
	{ DOC("^'1234567\xc3\xa4'"), "s", "json.long" },
	{ DOC("^'\\u0000\\n345678\\u00e4'"), "s", "json.long" },
	{ DOC("['12345678',^'123456789']"), "aisis", "json.long" },
	{ DOC("{^'12345678901234567':1}"), "ok", "json.long" },
	{ DOC("{^'12345678901234567':1}"), "x", "json.long" },

	/* json.trailing */
	{ DOC("{}^{}"), "we", "json.trailing" },
	{ DOC("{} ^x"), "wE", "json.trailing" },
	{ DOC("{}^,"), "we", "json.trailing" },
	{ DOC("{}^}"), "xe", "json.trailing" },
	{ DOC("[]^]"), "xE", "json.trailing" },
	{ DOC("1 ^2"), "ue", "json.trailing" },
	{ DOC("{}^\n"), "we", "json.trailing" },
	{ DOC("{}^\t"), "we", "json.trailing" },
	{ DOC("{}  ^\r"), "we", "json.trailing" },
	{ DOC("{} \n^//"), "wE", "json.trailing" },
	{ DOC("{}^\xff"), "we", "json.trailing" },
};
/* clang-format on */
#endif
