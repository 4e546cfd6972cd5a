/* SPDX-License-Identifier: MIT */
#include "convert/run/budget.h"

#include "convert/make/stream.h"
#include "core/hash/sha256.h"
#include "formats/conversion/manifest.h"

/* Program and libraries, stacks, text on its way to manifests: measured below 16 MiB. */
#define FIXED (20ull << 20)
/* One piece is made while another is digested, and a file that may be kept is read beside them. */
enum { PIECES = 3 };
/* Names and shapes are in arenas of known size; what sorting and growing leaves behind is not. */
enum { PIECE_MAX = 256 << 10, PIECE_MIN = 128 << 10, SLACK_PERCENT = 25 };

static uint64_t tables_of(const struct plan *p)
{
	const struct ckpt *c = p->ckpt;
	uint64_t n = c->arena.total + c->n * sizeof *c->tensors + p->arena.total + c->n;
	uint64_t index = 0;
	size_t i;

	for (i = 0; i < p->n_files; i++)
		n += p->files[i].n * (sizeof *p->files[i].steps + sizeof(struct step_result));
	/* What was needed before the run and may not have gone back to the system: the inventory,
	 * or the index that is written at the end. */
	index = c->n * (sizeof(struct want) + 64);
	return n + index + n * SLACK_PERCENT / 100;
}

/* Of a lane with the file that needs most, but for its pieces. */
static uint64_t lane_bytes(const struct plan *p)
{
	const struct plan_file *f;
	uint64_t most = 0, n;
	size_t i;

	for (i = 0; i < p->n_files; i++) {
		f = &p->files[i];
		n = stream_need(p, f) + f->header_bytes + f->header_bytes / 2 +
			(f->bytes / MAN_CHUNK + 1) * sizeof(struct xxh_digest);
		most = n > most ? n : most;
	}
	return most;
}

int budget_make(struct budget *b, const struct plan *p, unsigned threads, uint64_t limit,
	struct err *e)
{
	unsigned most = p->n_files < SHA256_LANES ? (unsigned)p->n_files : SHA256_LANES;
	uint64_t lane = lane_bytes(p);
	size_t piece;

	b->tables = tables_of(p);
	for (b->threads = threads ? threads : 1; b->threads; b->threads--) {
		for (b->lanes = most ? most : 1; b->lanes; b->lanes--) {
			for (piece = PIECE_MAX; piece >= PIECE_MIN; piece /= 2) {
				b->piece = piece;
				b->peak = FIXED + b->tables +
					(uint64_t)b->threads * b->lanes * (lane + PIECES * piece);
				if (b->peak <= limit)
					return 0;
			}
		}
	}
	return err_rule(e, RULE_PLAN_MEMORY, ERR_NOPOS,
		"--max-memory %llu: this plan needs %llu bytes with one thread",
		(unsigned long long)limit, (unsigned long long)b->peak);
}
