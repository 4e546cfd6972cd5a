/* SPDX-License-Identifier: MIT */
#include "convert/run/budget.h"

#include "convert/make/stream.h"
#include "core/file.h"
#include "core/hash/sha256.h"
#include "formats/conversion/manifest.h"

/* Program and libraries, stacks, text on its way to manifests: measured at most 9 MiB. */
#define FIXED (12ull << 20)
/* Names, shapes and steps have known sizes; what sorting and growing leaves behind has not. */
enum { SLACK_PERCENT = 10 };
/* From 256 KiB on a read or a write costs no less for each byte, and the pieces of four lanes fill the 1 MiB
 * of a core's L2. Three pieces of a file let one be made and one wait while one is digested. */
enum { PIECE_MAX = 256 << 10, PIECE_MIN = 128 << 10, RING_MAX = 3 };
/* The second stream in lockstep is most of what SHA-256 gains with SHA instructions (1.5 of 1.7 times on Zen 5, all of
 * 1.4 on Sapphire Rapids), and a thread that has two files to itself waits for nobody. Threads that would have fewer
 * work as a team. */
enum { TEAM_FILES = 2 };
/* A run is content with so much memory although it may have more: it has that many lanes of a team then, with which SHA-256
 * gains most of what it gains, or half of them, where tables are so large that the rest has no room for more. */
enum { CONTENT = 128 << 20, CONTENT_LANES = 8 };
/* Lanes that have a stage each read nothing back that they have made ahead of their turn (lane.h), which is a tenth of the
 * processor's time where all of a file is made so. Beyond so much
 * in all they would take the cache from each other. */
enum {
	OWN_MAX = 32 << 20,
	OWN_MIN = 2 * MAKER_ROWS /* less is rows on their way, which do not stay */
};

/* The checkpoint and the plans, which are there from first to last. */
static uint64_t tables_of(const struct conversion *c)
{
	const struct ckpt *k = c->folders[0].ckpt;
	uint64_t n = k->arena.total + k->n * sizeof *k->tensors;
	const struct plan *p;
	size_t i;

	for (p = c->folders; p < c->folders + c->n; p++) {
		n += p->arena.total + k->n;
		for (i = 0; i < p->n_files; i++)
			n += p->files[i].n * sizeof *p->files[i].steps;
	}
	return n + n * SLACK_PERCENT / 100;
}

/* What the plan was made from, and the text of a header while it is measured, are gone when the run begins; the
 * lanes are gone when the index is written at its end. Both take about this much. */
static uint64_t aside_of(const struct conversion *c)
{
	const struct plan *p;
	uint64_t header = 0;
	size_t i;

	for (p = c->folders; p < c->folders + c->n; p++)
		for (i = 0; i < p->n_files; i++)
			if (p->files[i].header_bytes > header)
				header = p->files[i].header_bytes;
	return c->folders[0].ckpt->n * (sizeof(struct want) + 64) + header * 3 / 2;
}

/* What the files say about lanes. */
struct files {
	uint64_t lane;    /* bytes of a lane with the file that needs most, but for its pieces */
	uint64_t stage;   /* bytes of the largest stage */
	uint64_t n, made; /* how many; of which are made, and not only digested */
	uint64_t alike;   /* how many there would be if all were as large as the largest */
};

static struct files files_of(const struct conversion *c, bool shards)
{
	uint64_t most = 1, all = 0, n;
	const struct plan_file *f;
	const struct ckpt *k = c->folders[0].ckpt;
	struct files r = { .made = c->files, .n = c->files + (shards ? k->n_shards : 0) };
	const struct plan *p;
	size_t i;

	for (p = c->folders; p < c->folders + c->n; p++) {
		for (f = p->files; f < p->files + p->n_files; f++) {
			n = stream_need(p, f) +
				(f->bytes / MAN_CHUNK + 1) * sizeof(struct xxh_digest);
			r.lane = n > r.lane ? n : r.lane;
			n = stream_stage(p, f);
			r.stage = n > r.stage ? n : r.stage;
			most = f->bytes > most ? f->bytes : most;
			all += f->bytes;
		}
	}
	for (i = 0; shards && i < k->n_shards; i++) {
		n = (uint64_t)k->shards[i].st.st_size;
		most = n > most ? n : most;
		all += n;
	}
	r.alike = all / most;
	return r;
}

/* A lane has its file open, at its end the sidecar, and what casts drop. Beside lanes there are the shards, of each
 * folder itself and its mark, and what a process begins with and libraries open. */
enum { OPEN_LANE = 3, OPEN_FOLDER = 2, OPEN_OTHER = 24 };

static uint64_t open_of(const struct conversion *c)
{
	return c->folders[0].ckpt->n_shards + c->n * OPEN_FOLDER + OPEN_OTHER;
}

/* The teams and lanes that b->threads would like, of which so many may be. */
static void want(struct budget *b, const struct files *f, uint64_t may)
{
	uint64_t teams = f->alike / TEAM_FILES, lanes;

	teams = teams < 1 ? 1 : teams < b->threads ? teams : b->threads;
	teams = teams < may ? teams : may;
	lanes = mem_ceil_div(f->n ? f->n : 1, teams);
	lanes = lanes < may / teams ? lanes : may / teams;
	b->teams = (unsigned)teams;
	b->lanes = lanes < SHA256_LANES ? (unsigned)lanes : SHA256_LANES;
}

/* Sets pieces and peak, given own. True if that is within limit. */
static bool pieces_fit(struct budget *b, const struct files *f, uint64_t limit)
{
	uint64_t lanes = (uint64_t)b->teams * b->lanes, busy = lanes < f->made ? lanes : f->made,
		 aside = b->aside, working;
	unsigned most = b->threads > b->teams ? RING_MAX : RING_MAX - 1;

	/* A thread that is alone has nobody who would digest while it makes the next piece; where it
	 * helps another team at the end, it is not alone. */
	most = b->threads > 1 ? most : 1;
	for (b->piece = PIECE_MAX; b->piece >= PIECE_MIN; b->piece /= 2) {
		for (b->ring = most; b->ring; b->ring--) {
			/* Beside the lanes' pieces each thread has two on its desk. */
			working = busy * f->lane + (b->own ? lanes : b->threads) * f->stage +
				(lanes * b->ring + b->threads * 2) * b->piece;
			b->peak = FIXED + b->tables + (working > aside ? working : aside);
			if (b->peak <= limit)
				return true;
		}
	}
	return false;
}

/* Sets own, pieces and peak. True if that is within limit. */
static bool fits(struct budget *b, const struct files *f, uint64_t limit)
{
	uint64_t lanes = (uint64_t)b->teams * b->lanes;

	b->stage = f->stage;
	b->own = true;
	if ((lanes <= b->threads || (f->stage > OWN_MIN && lanes * f->stage <= OWN_MAX)) &&
		pieces_fit(b, f, limit))
		return true;
	b->own = false;
	return lanes > b->threads && pieces_fit(b, f, limit);
}

/* As many lanes for each team as fit into limit, at least `least` or all that are wanted. */
static bool lanes_fit(struct budget *b, const struct files *f, uint64_t may, unsigned least,
	uint64_t limit)
{
	want(b, f, may);
	least = least < b->lanes ? least : b->lanes;
	for (; b->lanes >= least && b->lanes; b->lanes--)
		if (fits(b, f, limit))
			return true;
	return false;
}

int budget_make(struct budget *b, const struct conversion *c, bool shards, unsigned threads,
	uint64_t limit, struct err *e)
{
	struct files f = files_of(c, shards);
	uint64_t may = file_most_open(), open = open_of(c);

	if (may < open + OPEN_LANE)
		return err_set(e, ERR_SYSTEM,
			"this conversion of %zu shards into %zu folders has %llu files open at a time, and "
			"%llu are allowed: raise the limit (ulimit -n)",
			c->folders[0].ckpt->n_shards, c->n, (unsigned long long)open + OPEN_LANE,
			(unsigned long long)may);
	may = (may - open) / OPEN_LANE;
	b->tables = tables_of(c);
	b->aside = aside_of(c);
	b->threads = threads ? threads : 1;
	if (limit > CONTENT &&
		(lanes_fit(b, &f, may, CONTENT_LANES, CONTENT) ||
			lanes_fit(b, &f, may, CONTENT_LANES / 2, CONTENT)))
		return 0;
	for (; b->threads; b->threads--)
		if (lanes_fit(b, &f, may, 1, limit))
			return 0;
	return err_rule(e, RULE_PLAN_MEMORY, ERR_NOPOS,
		"--max-memory %llu: this plan needs %llu bytes with one thread",
		(unsigned long long)limit, (unsigned long long)b->peak);
}

void budget_apart(struct budget *b)
{
	uint64_t files = (uint64_t)b->teams * b->lanes;

	b->teams = files < b->threads ? (unsigned)files : b->threads;
	b->lanes = 1;
}
