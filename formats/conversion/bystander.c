/* SPDX-License-Identifier: MIT */
#include "formats/conversion/bystander.h"

#include "core/file.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum what { DOCUMENT, FIGURES, SIGNATURE, LITTER, LITTER_DIR };

/* Upper and lower case are the same. A name that ends in * stands for all that begin so. */
static const struct row {
	const char *name;
	enum what what;
} known[] = {
	/* people */
	{ "LICENSE*", DOCUMENT },
	{ "LICENCE*", DOCUMENT },
	{ "COPYING*", DOCUMENT },
	{ "NOTICE*", DOCUMENT },
	{ "README*", DOCUMENT },
	{ "CHANGELOG*", DOCUMENT },
	{ "CITATION*", DOCUMENT },
	{ "USE_POLICY*", DOCUMENT },
	{ "SHA256SUMS*", DOCUMENT },
	/* these tools, and those that sign */
	{ "manifest.json.minisig", SIGNATURE },
	{ "model.sig", SIGNATURE },
	{ "attestation.json", SIGNATURE },
	{ BYSTANDER_ATLAS, FIGURES },
	{ "dsv4-only-copy.json", FIGURES }, /* run --reclaim: it may be the only copy */
	/* the hub, git, editors */
	{ ".dsv4-work", LITTER_DIR }, /* where tasks of a job make files (convert/batch) */
	{ ".gitattributes", LITTER },
	{ ".gitignore", LITTER },
	{ ".git", LITTER_DIR },
	{ ".github", LITTER_DIR },
	{ ".cache", LITTER_DIR },
	{ ".huggingface", LITTER_DIR },
	{ ".msc", LITTER },
	{ ".mv", LITTER },
	{ ".ipynb_checkpoints", LITTER_DIR },
	/* systems and file systems */
	{ ".DS_Store", LITTER },
	{ "._*", LITTER },
	{ "Thumbs.db", LITTER },
	{ "desktop.ini", LITTER },
	{ ".directory", LITTER },
	{ ".nfs*", LITTER },         /* NFS: removed while open */
	{ ".fuse_hidden*", LITTER }, /* FUSE: the same */
	{ "lost+found", LITTER_DIR },
	{ ".snapshot", LITTER_DIR },
	{ ".snapshots", LITTER_DIR },
	{ ".zfs", LITTER_DIR },
	{ ".Trash*", LITTER_DIR },
	{ ".fseventsd", LITTER_DIR },
	{ ".Spotlight-V100", LITTER_DIR },
	{ "@eaDir", LITTER_DIR },
	{ "__MACOSX", LITTER_DIR },
};

/* Ends of names that engines, tokenizers and trust_remote_code read. */
static const char *const model_ends[] = { ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf",
	".ggml", ".h5", ".msgpack", ".onnx", ".npy", ".npz", ".pkl", ".pickle", ".json", ".jsonl",
	".jinja", ".jinja2", ".py", ".pyc", ".so", ".model", ".tiktoken", ".header", ".dropped",
	".tar", ".zst", ".zst-e8m0", "vocab.txt", "merges.txt" };
static bool matches(const char *pattern, const char *name)
{
	size_t n = strlen(pattern);

	return pattern[n - 1] == '*' ? !strncasecmp(pattern, name, n - 1)
				     : !strcasecmp(pattern, name);
}

static bool ends(const char *name, const char *end)
{
	size_t n = strlen(name), k = strlen(end);

	return n >= k && !strcasecmp(name + n - k, end);
}

static const struct row *find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof known / sizeof *known; i++)
		if (matches(known[i].name, name))
			return &known[i];
	return NULL;
}

static bool right_kind(const struct row *r, mode_t mode)
{
	return r->what == LITTER_DIR ? S_ISDIR(mode) : S_ISREG(mode);
}

/* A folder that nobody knows may hold weights. */
static bool is_model(const char *name, mode_t mode)
{
	size_t i;

	for (i = 0; i < sizeof model_ends / sizeof *model_ends; i++)
		if (ends(name, model_ends[i]))
			return true;
	return !S_ISREG(mode);
}

enum bystander bystander_of(const char *name, mode_t mode)
{
	const struct row *r = find(name);

	if (r && !right_kind(r, mode))
		return BYSTANDER_MODEL;
	if (r && r->what != DOCUMENT)
		return BYSTANDER_KNOWN;
	if (is_model(name, mode)) /* README.md is a document, README.safetensors is none */
		return BYSTANDER_MODEL;
	return r ? BYSTANDER_KNOWN : BYSTANDER_UNKNOWN;
}

bool bystander_is_signature(const char *name, mode_t mode)
{
	const struct row *r = find(name);

	return r && r->what == SIGNATURE && right_kind(r, mode);
}

bool bystander_speaks(const char *name, mode_t mode)
{
	const struct row *r = find(name);

	return r && (r->what == SIGNATURE || r->what == FIGURES) && right_kind(r, mode);
}

bool bystander_is_litter(const char *name, mode_t mode)
{
	const struct row *r = find(name);

	char part[256];

	if (S_ISREG(mode) && file_is_part(name, part))
		return true;
	return r && r->what >= LITTER && right_kind(r, mode);
}
