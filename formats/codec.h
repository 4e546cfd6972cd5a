/* codec.h -- the number formats in which a matrix is stored, as facts: a row for each says of what type
 * its codes and scales are, how many elements share a scale, and what the tensors are called.
 *
 * A format is codes, one for each element, and scales, one for each block of rows x cols elements; the
 * value of an element is its code's value times the scale of its block. Whoever needs a block size or the
 * shape of a tensor of scales asks here and writes no number. What the bits mean, and how to get from one
 * format to another, is in quant/codec.h and quant/recode.h: a row there for each row here.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CODEC_H
#define FORMATS_CODEC_H
#include "formats/dtype.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum codec {
	CODEC_NONE,    /* nothing said: the zero of a struct */
	CODEC_MXFP4,   /* E2M1, an E8M0 scale for 32 columns of a row: routed experts as released */
	CODEC_FP8,     /* E4M3, an E8M0 scale for 128 x 128: all other weights as released */
	CODEC_FP8_F32, /* E4M3, an F32 scale for 128 x 128: as -Base has them */
	CODEC_BF16,
	CODEC_F32,
	CODEC_MXFP8, /* E4M3, an E8M0 scale for 32 columns of a row */
	CODEC_NVFP4, /* E2M1, an E4M3 scale for 16 columns of a row and a factor for the matrix: as ModelOpt has it */
	CODEC_NVFP4_CT, /* the same as compressed-tensors has it: other names, and the factor is a divisor */
	CODEC_MXFP4_CT, /* MXFP4 by compressed-tensors' names and types */
	CODEC_FP8_CT,   /* FP8_F32 by compressed-tensors' names */
	CODEC_FP8_32,   /* E4M3, an E8M0 scale for 32 x 32: dense weights of V4.1 */
	CODEC_FP8_ROW,  /* E4M3, an E8M0 scale for 32 columns of a row: Engram tables of V4.1 */
	CODEC_INT4_128, /* whole numbers of 4 bits, a BF16 scale for 128 columns of a row: compressed-tensors' pack-quantized */
	CODEC_INT4_32,  /* the same with a scale for 32 columns */
	CODEC_INT8_ROW, /* whole numbers of 8 bits, a BF16 scale for each row: its int-quantized */
	CODEC_FP8_CHANNEL,   /* E4M3, a BF16 scale for each row: its float-quantized by channel */
	CODEC_MXFP8_MLX,     /* MXFP8 by MLX's names, its codes in words of four */
	CODEC_MXFP4_MLX,     /* MXFP4 by MLX's names, its codes in words of eight */
	CODEC_INT4_128_ASYM, /* CODEC_INT4_128 with a zero point beside each scale */
	CODEC_INT4_32_ASYM,  /* the same with a scale for 32 columns */
	CODEC_COUNT
};

/* What the bits of a scale mean; its declared type does not say it (E8M0 bytes are often U8). */
enum scale_meaning { SCALE_NONE, SCALE_E8M0, SCALE_E4M3, SCALE_F32, SCALE_BF16 };

/* Columns that share a scale where all of a row do. */
#define CODEC_ALL_COLS UINT32_MAX

/* A factor of the whole matrix, one F32 in a tensor of its own. */
struct codec_second {
	const char *name; /* how its name ends; NULL: the format has none */
	uint8_t rank;     /* dimensions of its shape, all 1 */
	bool divides;     /* what lies there is 1 / factor */
};

struct codec_form {
	const char *name; /* as options and documents say it */
	const char
		*expert; /* expert_dtype of config.json where experts have this form; NULL: none */
	uint8_t code;    /* enum dtype of the tensor of codes, as DeepSeek-V4 declares it */
	uint8_t bits;    /* of a code; codes lie in a row without gap, the first in the low bits */
	uint8_t scale;   /* enum dtype of the tensor of scales; DT_COUNT: the format has none */
	uint8_t meant;   /* enum scale_meaning */
	/* Elements that share a scale; 1 x 1 where there is none; cols may be CODEC_ALL_COLS. */
	uint32_t rows, cols;
	const char *codes, *scales; /* how the names of the two tensors end, in safetensors */
	int gguf;                   /* the type that ggml has for it, -1 none */
	struct codec_second second;
	const char *
		shape; /* how the name of an I64 tensor of rows and columns ends; NULL: the format has none */
	/* How the name of an I32 tensor of zero points ends, of which a word has those of CODEC_ZERO_ROWS rows; NULL: the format has
	 * none. A zero point is the code, from 0 to 15, that means zero: one for each scale. */
	const char *zeros;
	const char *what;
};
extern const struct codec_form codecs[CODEC_COUNT];

/* Returns the codec of that name, or CODEC_NONE. */
enum codec codec_find(const char *name);
/* Returns the codec whose experts config.json calls so, or CODEC_NONE. */
enum codec codec_of_expert(const char *expert_dtype);
/* What config.json calls experts of that codec; "unsaid" where it has no word for them. */
const char *codec_expert(enum codec c);
/* Returns the first codec with codes and scales of these types, or CODEC_NONE; scale is DT_COUNT where there is none. Types do not
 * tell all codecs: of CODEC_FP8_32 and CODEC_FP8_ROW, which have those of CODEC_FP8, the family says where they are (struct family,
 * struct role); the codecs of compressed-tensors are told by names and config.json. */
enum codec codec_of_types(unsigned code, unsigned scale);

/* Returns the elements of a row of the tensor of codes whose header says dim1 (an I8 of MXFP4 holds two of them, an I32 eight). */
uint64_t codec_cols(enum codec c, uint64_t dim1);
/* What the header says for cols elements: the way back. */
uint64_t codec_dim1(enum codec c, uint64_t cols);
/* Bytes of a row of so many codes. */
uint64_t codec_row_bytes(enum codec c, uint64_t cols);
/* The shape of the scales of a matrix, dim[0] x dim[1]; a block that is cut by an edge counts. */
void codec_scale_dim(enum codec c, uint64_t rows, uint64_t cols, uint64_t dim[2]);
/* Rows whose zero points lie in one word: that of row r in the bits from 4 * (r % 8) on. */
enum { CODEC_ZERO_ROWS = 8 };
/* The shape of the zero points of a matrix, in words; the last row of words has zeros where the matrix has no rows. */
void codec_zero_dim(enum codec c, uint64_t rows, uint64_t cols, uint64_t dim[2]);
/* True if the matrix is a whole number of blocks; rows of CODEC_ALL_COLS are, whatever their length. */
bool codec_whole(enum codec c, uint64_t rows, uint64_t cols);

#ifdef __cplusplus
}
#endif
#endif
