/* SPDX-License-Identifier: MIT */
#include "formats/format_id.h"
#include "formats/rule.h"

#include "formats/json/jwrite.h"

#include <stddef.h>
#include <string.h>

/* clang-format off */
const struct rule rules[] = {
	{ "check.alone",          ERR_UNSUPPORTED, "a file without anything that says what it should be", "name the folder, or put the file beside its manifest" },
	{ "check.chunk",          ERR_MISMATCH,    "16 MiB of a file with another digest than its sidecar says", "copy the file from where it was made, or convert again" },
	{ "check.extra",          ERR_MISMATCH,    "a file in a converted folder that its manifest does not name", "remove it, or find out who put it there" },
	{ "check.header",         ERR_MISMATCH,    "a header that lists other tensors than the sidecar", "copy the file from where it was made, or convert again" },
	{ "check.missing",        ERR_MISMATCH,    "a file or folder that the manifest names is not there", "copy it from where it was made, or convert again" },
	{ "check.no-digest",      ERR_NONE,        "a file of which nobody says the SHA-256", "give --source-sha256, or convert without --no-sha256" },
	{ "check.plan",           ERR_MISMATCH,    "parts of two conversions in one folder", "copy all files from one run, or convert again" },
	{ "check.rank",           ERR_USAGE,       "a rank that the folder does not have", "take one of the ranks in its manifest" },
	{ "check.sha256",         ERR_MISMATCH,    "a file with another SHA-256 than its manifest says", "copy the file from where it was made, or convert again" },
	{ "check.tensor",         ERR_MISMATCH,    "a tensor with another digest than its sidecar says, in chunks that are right", "convert again: the sidecar is not true in itself" },
	{ "check.unfinished",     ERR_MISMATCH,    "a conversion that did not end", "run the same conversion again: it goes on" },
	{ "check.unsealed",       ERR_NONE,        "a manifest without a digest of itself", "convert again with this version, or sign the manifest" },

	{ "ckpt.changed",         ERR_SYSTEM,      "a shard was changed while it was read", "stop whatever writes to the folder, then run again" },
	{ "ckpt.empty",           ERR_DATA,        "the folder has no .safetensors file", "name the folder that holds the .safetensors files" },
	{ "ckpt.name-twice",      ERR_DATA,        "two shards hold a tensor of the same name", "remove the shard that does not belong; download again if unsure which" },

	{ "compare.bytes",        ERR_MISMATCH,    "a byte of an output tensor is not what the source makes of it", "convert again; if it comes out the same, tell the authors" },
	{ "compare.file",         ERR_MISMATCH,    "a small file is not the one of the source", "copy it from the source, or compare with the source that it is of" },
	{ "compare.lost",         ERR_MISMATCH,    "a source tensor that does not appear, or not whole", "convert again; compare all ranks together" },
	{ "compare.shape",        ERR_MISMATCH,    "an output tensor that its transform cannot have made of its source", "convert again: the sidecar is not true" },
	{ "compare.source",       ERR_MISMATCH,    "an output tensor of a source tensor that there is not", "compare with the source that it was made of" },

	{ "config.forward",       ERR_DATA,        "a field of config.json that decides what is computed is missing, or is not as in a DeepSeek-V4", "use the config.json that was published with the weights" },
	{ "config.dialect",        ERR_DATA,        "config.json was written by transformers: fields have other names", "take the original config.json, or doctor --fix-config" },
	{ "config.expert-dtype",  ERR_DATA,        "expert_dtype is neither fp4 nor fp8", "set expert_dtype to fp4 or fp8, whichever the tensors are" },
	{ "config.expert-dtype-missing", ERR_DATA, "config.json does not say what the experts are", "set expert_dtype in config.json, or say --assume-experts" },
	{ "config.expert-dtype-wrong", ERR_DATA,   "config.json says one kind of experts, the tensors are another", "set expert_dtype to what the tensors are, or fetch the config.json of these weights" },
	{ "config.field-missing", ERR_DATA,        "a field that the shapes depend on is missing", "fetch config.json of this model again" },
	{ "config.field-range",   ERR_DATA,        "a field is out of range or does not divide as it must", "fetch config.json of this model again" },
	{ "config.field-tensors",  ERR_DATA,        "a field of config.json says another number than the shapes or names of the tensors", "use weights and config.json of one version, or doctor --fix-config" },
	{ "config.field-type",    ERR_DATA,        "a field has the wrong JSON type", "fetch config.json of this model again" },
	{ "config.missing",       ERR_DATA,        "there is no config.json", "put config.json of this model into the folder" },
	{ "config.model-type",    ERR_UNSUPPORTED, "another model than deepseek_v4", "use a tool for that model" },
	{ "config.quant",         ERR_DATA,        "quantization_config is not FP8 in blocks of 128 x 128", "fetch config.json of this model again" },
	{ "config.quant-excluded", ERR_DATA,        "quantization_config leaves out modules that are stored quantized", "fetch config.json again, or doctor --fix-config" },
	{ "config.ratios",        ERR_DATA,        "compress_ratios has a wrong length or entry", "fetch config.json of this model again: one entry for each layer and stage" },
	{ "config.stages",        ERR_DATA,        "the stages under mtp. are counted in two different ways", "fetch config.json of this model again: num_nextn_predict_layers and compress_ratios belong together" },
	{ "config.syntax",        ERR_DATA,        "config.json is no valid JSON object", "fetch config.json of this model again" },
	{ "config.tied",           ERR_DATA,        "tie_word_embeddings is true, and head.weight is a tensor of its own", "set tie_word_embeddings to false" },

	{ "data.cast-inexact",    ERR_DATA,        "a block of FP4 weights cannot be cast to FP8 without loss", "keep the experts FP4, or accept rounding with --lossy" },
	{ "data.dequant-inexact", ERR_DATA,        "a product of weight and scale is not exact in BF16", "accept rounding with --lossy, or look at where the scales come from" },
	{ "data.expert-id",       ERR_DATA,        "tid2eid names an expert that there is not", "download the shard again" },
	{ "data.fp8-nan",         ERR_DATA,        "an FP8 weight is NaN", "download the shard again; if its SHA-256 is as published, the publisher has to act" },
	{ "data.not-finite",       ERR_DATA,        "a BF16 or FP32 value that is NaN or infinite", "download the shard again; if its SHA-256 is as published, the publisher has to act" },
	{ "data.scale-nan",       ERR_DATA,        "an E8M0 scale is NaN (byte 255)", "download the shard again; if its SHA-256 is as published, the publisher has to act" },
	{ "data.scale-number",     ERR_DATA,        "an FP32 scale that is no power of two", "convert again with a tool that turns E8M0 bytes into 2^(byte-127)" },
	{ "data.scale-range",     ERR_DATA,        "a scale byte that the engine misreads", "choose another engine, or ask the publisher for other scales" },
	{ "data.zeros",            ERR_DATA,        "a region of zeros where weights or scales should be", "download the shard again: it was cut off, or never written" },

	{ "engine.default",        ERR_DATA,        "what the engine takes for granted, where config.json is silent, is not so", "set expert_dtype in config.json: doctor --fix-config" },
	{ "engine.setting",        ERR_NONE,        "the engine has to be told something about this checkpoint", "start the engine so" },

	{ "diff.bytes",           ERR_MISMATCH,    "a tensor with other bytes in the two folders", "nothing, if they are to differ; else check both" },
	{ "diff.dtype",           ERR_MISMATCH,    "a tensor of another type in the two folders", "nothing, if they are to differ; else check both" },
	{ "diff.only",            ERR_MISMATCH,    "a tensor that only one of the two folders has", "nothing, if they are to differ; else check both" },
	{ "diff.shape",           ERR_MISMATCH,    "a tensor of another shape in the two folders", "nothing, if they are to differ; else check both" },

	{ "file.not-regular",     ERR_DATA,        "a folder, FIFO, socket or device stands where a file should", "put the file itself there" },
	{ "file.page",             ERR_DATA,        "a web page stands where a shard should", "download the shard again, with the right to it" },
	{ "file.pointer",          ERR_DATA,        "a Git-LFS pointer stands where a shard should", "run git lfs pull, or download the shard" },
	{ "file.short",           ERR_DATA,        "a file ended before what was expected of it", "download or convert the file again" },
	{ "file.symlink",         ERR_DATA,        "a symbolic link stands where a file should", "replace the link by the file, or say --hf-cache for a folder of the hub's cache" },
	{ "file.too-big",         ERR_DATA,        "a text file is larger than this program takes", "look at what the file is: it is none of ours" },
	{ "file.zeros",            ERR_DATA,        "a shard begins with zeros", "download the shard again: it was never written, or uploaded so" },

	{ "forward.shape",        ERR_UNSUPPORTED, "sizes that the forward pass of these tools cannot compute", "check and compare the folder instead; they need no forward pass" },

	{ "index.case-twin",      ERR_DATA,        "two shards whose names differ in upper and lower case only", "rename or remove one of the two" },
	{ "index.draft-mixed",     ERR_NONE,        "stages under mtp. share shards with layers", "convert to hf, which gives them shards of their own" },
	{ "index.extra-shard",    ERR_DATA,        "a shard that the index does not name", "remove the shard, or fetch the index that belongs to the shards" },
	{ "index.missing",        ERR_DATA,        "several shards and no index", "fetch model.safetensors.index.json of this model" },
	{ "index.name",           ERR_DATA,        "a tensor name in the index with a NUL", "fetch the index again" },
	{ "index.no-map",         ERR_DATA,        "the index has no weight_map", "fetch the index again" },
	{ "index.not-in-index",   ERR_DATA,        "a tensor in a shard that the index does not name", "fetch index and shard again: they are of two versions" },
	{ "index.not-in-shard",   ERR_DATA,        "a tensor that the index names is not in the shard", "fetch index and shard again: they are of two versions" },
	{ "index.shard-missing",  ERR_DATA,        "a shard that the index names is not there", "download the shard" },
	{ "index.shard-name",     ERR_DATA,        "a shard name with a path or odd characters in it", "rename the file, and do not trust where the index comes from" },
	{ "index.shards",         ERR_UNSUPPORTED, "more shards than this program opens", "merge shards" },
	{ "index.total-size",     ERR_DATA,        "total_size is not the sum of all tensors", "fetch the index again, or all shards if it is as published" },
	{ "index.twice",          ERR_DATA,        "the index names a tensor, or has its map, twice", "fetch the index again" },
	{ "index.wrong-shard",    ERR_DATA,        "a tensor is in another shard than the index says", "fetch index and shards again: they are of two versions" },

	{ "json.control",         ERR_DATA,        "a control byte in a string", "fetch or make the file again" },
	{ "json.cut",             ERR_DATA,        "the document ends in the middle", "fetch or make the file again: it is cut off" },
	{ "json.depth",           ERR_DATA,        "nested deeper than the format is", "do not use the file: no tool wrote this" },
	{ "json.escape",          ERR_DATA,        "an escape that does not exist, or half a surrogate pair", "fetch or make the file again" },
	{ "json.long",            ERR_DATA,        "a string longer than allowed", "do not use the file: no tool wrote this" },
	{ "json.number",          ERR_DATA,        "a number with sign, point, exponent or leading zero", "fetch or make the file again" },
	{ "json.range",           ERR_DATA,        "a number beyond its limit", "fetch or make the file again" },
	{ "json.syntax",          ERR_DATA,        "not JSON", "fetch or make the file again" },
	{ "json.trailing",        ERR_DATA,        "something after the document", "fetch or make the file again" },
	{ "json.type",            ERR_DATA,        "another kind of value than expected", "fetch or make the file again" },
	{ "json.utf8",            ERR_DATA,        "a string that is not UTF-8", "fetch or make the file again" },

	{ "key.curve",             ERR_USAGE,       "a key that is not on P-256, P-384 or P-521", "make one: openssl ecparam -name prime256v1 -genkey -noout" },
	{ "key.form",              ERR_USAGE,       "a file that is not the kind of key that is asked for", "sign with the secret key, check with the public one, each of the same format" },
	{ "key.mode",              ERR_USAGE,       "a secret file that others on the machine may read", "chmod 600 it; make a new key if others may have read it" },
	{ "key.password",          ERR_USAGE,       "no password for an encrypted key, or a wrong one", "put the right one into the first line of a file for --password" },

	{ "logits.differs",       ERR_MISMATCH,    "the converted model computes something else than its source", "convert again; the tensor named is where the weights differ first" },
	{ "logits.models",        ERR_USAGE,       "source and converted are of different models", "name the source that the folder was converted from" },
	{ "model.dialect",         ERR_DATA,        "tensors have names of another tool", "convert back with the tool that renamed them, or take the original" },
	{ "model.dtype",          ERR_DATA,        "a tensor of another type than its role has", "use weights and config.json of one version; undo a conversion that changed types" },
	{ "model.missing",        ERR_DATA,        "a tensor that the model must have is not there", "download the shard that has it; if none has, these are not all weights of the model" },
	{ "model.mixed",           ERR_DATA,        "experts of some blocks are in another form than those of others", "convert all of them, or none" },
	{ "model.packed",          ERR_DATA,        "packed FP4 experts under another type", "begin with the original: half of the weights are lost, or are named wrongly" },
	{ "model.scale-form",     ERR_DATA,        "a scale of the wrong shape or type", "use weights of one version: the scale is not of this weight" },
	{ "model.scale-missing",  ERR_DATA,        "a quantized weight without its scale", "download the shard that has it: without it the weight means nothing" },
	{ "model.scale-orphan",   ERR_DATA,        "a scale without its weight", "download the shard that has the weight, or remove the scale" },
	{ "model.shape",          ERR_DATA,        "a tensor of another shape than config.json implies", "use weights and config.json of one version" },
	{ "model.unexpected",     ERR_DATA,        "a tensor that is not part of the model", "remove the tensor, or use the config.json that belongs to it" },

	{ "out.foreign",          ERR_USAGE,       "the output folder holds files of something else", "take an empty folder" },
	{ "out.locked",           ERR_SYSTEM,      "another run is writing to the output folder", "wait for the other run, or stop it" },
	{ "out.nested",           ERR_USAGE,       "input and output folder lie in one another", "take a folder outside the input" },
	{ "out.no-space",         ERR_SYSTEM,      "the file system has not room for the output", "make room, or take another file system" },
	{ "out.other",            ERR_USAGE,       "the output folder holds another conversion, or files that are no conversion", "take an empty folder, or say --overwrite" },

	{ "plan.block-cut",       ERR_UNSUPPORTED, "the ranks would cut a 128 x 128 block", "take a number of ranks that leaves blocks whole" },
	{ "plan.cast-shape",      ERR_UNSUPPORTED, "an expert that is no whole number of 128 x 128 blocks", "keep the experts FP4" },
	{ "plan.engine-form",     ERR_UNSUPPORTED, "an engine that takes FP4 experts, and others here", "choose another engine, or the FP4 checkpoint" },
	{ "plan.experimental",    ERR_USAGE,       "a target that was only read about, without --experimental", "say --experimental, and check the result on the engine" },
	{ "plan.experts",         ERR_USAGE,       "FP4 experts are asked for where there are FP8 ones", "begin with the FP4 checkpoint" },
	{ "plan.memory",          ERR_USAGE,       "--max-memory is less than the plan needs", "give more memory or fewer threads" },
	{ "plan.placement",       ERR_USAGE,       "--placement is no list of experts for each rank", "correct the list: docs/format.md has the form" },
	{ "plan.slice",           ERR_USAGE,       "a part of a model that would be no model", "keep at least one layer of each kind and enough experts" },
	{ "plan.split",           ERR_USAGE,       "a number of ranks that cannot share the model evenly", "take one of the numbers of ranks that the sentence lists" },

	{ "record.form",          ERR_DATA,        "a record that is not of this model, or none at all", "take the record that was made of this checkpoint, or record it again" },
	{ "replay.differs",       ERR_MISMATCH,    "a sub-block computes something else than the record says", "compare the checkpoint with its digests; the first sub-block named is where to look" },
	{ "replay.logits",        ERR_MISMATCH,    "the logits are not those of the record", "look at the sub-blocks first: what is wrong there is wrong here" },
	{ "replay.routing",       ERR_MISMATCH,    "tokens go to other experts, or see other entries, than the record says", "compare gate weights and tid2eid with their digests" },
	{ "rank.copies",           ERR_MISMATCH,    "a tensor that every rank holds whole has other bytes on one of them", "convert again, or copy that rank's file again: the ranks would compute with different weights" },
	{ "rank.expert-twice",     ERR_DATA,        "an expert is in the files of two ranks", "convert again, each expert to one rank" },
	{ "rank.missing",          ERR_DATA,        "the file of a rank is not there", "copy it, or convert again" },
	{ "rank.mixed",            ERR_DATA,        "rank files of different numbers of ranks in one folder", "keep one set of them" },
	{ "rank.shape",            ERR_DATA,        "tensors of a rank do not fit together", "convert again: something was not split that had to be" },
	{ "rank.uneven",           ERR_DATA,        "a tensor has another shape or type on another rank, or is on some only", "convert again: the ranks are of two conversions, or were split unevenly" },

	{ "set.codec",            ERR_UNSUPPORTED, "a tensor whose values were changed: no way back", "convert the original again" },
	{ "set.digest",           ERR_MISMATCH,    "a tensor taken apart is not as it was when it was converted", "copy the file from where it was made, or convert again" },
	{ "set.form",             ERR_MISMATCH,    "a manifest or sidecar that says what cannot be", "convert again: the file was edited or is of another version" },
	{ "set.incomplete",       ERR_MISMATCH,    "a tensor is not whole in the folders that are there", "copy the folders that are missing" },
	{ "set.layout",           ERR_UNSUPPORTED, "a layout, or a version of one, that this program does not know", "use the version of the tool that wrote it" },
	{ "set.manifest",         ERR_MISMATCH,    "a manifest or sidecar with another digest than the one above says", "copy the file from where it was made, or convert again" },
	{ "set.size",             ERR_MISMATCH,    "a file with another size than its manifest says", "copy the file from where it was made, or convert again" },

	{ "sig.base64",            ERR_DATA,        "base64 that is not in its one form", "fetch the signature again" },
	{ "sig.case-twin",         ERR_DATA,        "two files whose names differ in upper and lower case only", "rename or remove one of the two, then sign" },
	{ "sig.changed",           ERR_MISMATCH,    "a file that is not the one that was signed, or that the manifest says", "fetch or convert the file again; sign again if the change is meant" },
	{ "sig.comment",           ERR_MISMATCH,    "a trusted comment that is not the one that was signed", "fetch the signature again; do not believe the comment" },
	{ "sig.count",             ERR_DATA,        "no signature in the envelope, or several", "fetch the signature again" },
	{ "sig.digest",            ERR_DATA,        "a digest that is no SHA-256 in lower-case hex", "fetch the signature again" },
	{ "sig.exists",            ERR_USAGE,       "the file to be written is there already", "say --overwrite, or another -o FILE" },
	{ "sig.extra",             ERR_MISMATCH,    "a file that the signature, or the manifest, does not cover", "remove the file; sign again if it belongs there" },
	{ "sig.form",              ERR_DATA,        "a signature with members missing, unknown or of the wrong kind", "fetch the signature again; look at which tool made it" },
	{ "sig.gone",              ERR_MISMATCH,    "a file that was signed, or is in the manifest, is not there", "fetch or convert the file again" },
	{ "sig.ignore",            ERR_DATA,        "a signature that leaves out files which could be anything", "ask for a signature that covers every file" },
	{ "sig.ignored",           ERR_NONE,        "git's files, which Model Signing leaves out", "remove them where they are not needed" },
	{ "sig.legacy",            ERR_DATA,        "a signature of minisign's old form", "sign again without -l" },
	{ "sig.material",          ERR_UNSUPPORTED, "a signature made with certificates or a log", "check it with the tool that made it; here only keys are known" },
	{ "sig.media-type",        ERR_DATA,        "a bundle of another version than v0.3", "fetch the signature again; look at which tool made it" },
	{ "sig.method",            ERR_UNSUPPORTED, "a signature over shards of files, links, or other digests than SHA-256", "check it with the tool that made it, or sign with method files and SHA-256" },
	{ "sig.missing",           ERR_DATA,        "there is no signature", "fetch it, or name it with --signature" },
	{ "sig.name",              ERR_DATA,        "a file name that leads out of the folder, or that no signature can have", "do not use what such a signature came with; rename a file that is there" },
	{ "sig.name-twice",        ERR_DATA,        "a file that is named twice", "ask for another signature" },
	{ "sig.no-source",         ERR_UNSUPPORTED, "what was signed does not say by digest what the folder was made of", "convert with --source-sha256, then sign" },
	{ "sig.other-key",         ERR_MISMATCH,    "a signature made with another key", "use the public key of whoever signed, from a place you trust" },
	{ "sig.payload-type",      ERR_DATA,        "an envelope around something that is no in-toto statement", "fetch the signature again" },
	{ "sig.predicate-type",    ERR_DATA,        "a statement about something else than a folder of files", "fetch the right signature: this one says something else" },
	{ "sig.root",              ERR_DATA,        "the digest over all digests is wrong", "ask for another signature: its maker contradicts itself" },
	{ "sig.source",            ERR_MISMATCH,    "a shard of the download is not the one that the folder was made of", "use the download that was converted, or convert this one" },
	{ "sig.statement-type",    ERR_DATA,        "a statement of another version than v1", "fetch the signature again" },
	{ "sig.subject",           ERR_DATA,        "no subject in the statement, or several", "fetch the signature again" },
	{ "sig.tree",              ERR_UNSUPPORTED, "too many files, or folders nested too deep", "sign a folder of a model, not more" },
	{ "sig.twice",             ERR_DATA,        "a member for the second time", "ask for another signature: readers would see two different things" },
	{ "sig.uncovered",         ERR_MISMATCH,    "the manifest has no digest of a file, or there is no manifest", "convert with SHA-256 (no --no-sha256), or sign with a PEM key" },
	{ "sig.unfinished",        ERR_MISMATCH,    "a conversion into this folder is not finished", "run the conversion to its end, then sign" },
	{ "sig.wrong",             ERR_MISMATCH,    "the signature does not belong to what it is said to sign", "do not use the folder; fetch it and the signature again" },

	{ "source.list",          ERR_USAGE,       "--source-sha256 is no list of digests of all shards", "correct the list: a line for each shard, SHA-256, two spaces, name" },
	{ "source.sha256",        ERR_MISMATCH,    "a shard has not the SHA-256 that was published", "download the shard again" },
	{ "source.size",          ERR_MISMATCH,    "a shard has not the size that its Git-LFS pointer says", "download the shard again: it is cut off, or only a pointer" },

	{ "st.dtype-unknown",     ERR_UNSUPPORTED, "an element type that this program does not know", "use a version of the tool that knows the type" },
	{ "st.field-missing",     ERR_DATA,        "a tensor without dtype, shape or data_offsets", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.field-twice",       ERR_DATA,        "a tensor with a field for the second time", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.field-unknown",     ERR_DATA,        "a tensor with a field that the format does not have", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.file-short",        ERR_DATA,        "a file too short for a header", "download the shard again: it is cut off, or only a Git-LFS pointer" },
	{ "st.header-beyond",     ERR_DATA,        "a header longer than the file", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.header-cap",        ERR_DATA,        "a header longer than readers take", "say --max-header, if you know why the header is so long" },
	{ "st.header-short",      ERR_DATA,        "a header length of 0 or 1", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.header-start",      ERR_DATA,        "a header that does not begin with a brace", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.meta-size",         ERR_DATA,        "more than 1 MiB of metadata", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.meta-twice",        ERR_DATA,        "metadata, or a key in it, for the second time", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.name-control",      ERR_DATA,        "a name with a control byte", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.name-empty",        ERR_DATA,        "a tensor without a name", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.name-twice",        ERR_DATA,        "two tensors of one name in a shard", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.offset-count",      ERR_DATA,        "data_offsets without exactly two entries", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.offset-gap",        ERR_DATA,        "bytes of the payload that belong to no tensor", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.offset-order",      ERR_DATA,        "a tensor that ends before it begins", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.offset-overlap",    ERR_DATA,        "bytes of the payload that belong to two tensors", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.rank",              ERR_DATA,        "more than 8 dimensions", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.size",              ERR_DATA,        "a shape whose size wraps or is no whole number of bytes", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.size-mismatch",     ERR_DATA,        "shape and type need another size than the offsets span", "download the shard again, or ask who wrote it: no official writer does this" },
	{ "st.trailing",          ERR_DATA,        "bytes after the last tensor", "download the shard again; look for what appended to it" },
	{ "st.truncated",         ERR_DATA,        "a shard shorter than its tensors", "download the shard again: it is cut off" },

	{ "suspect.cast-spread",   ERR_NONE,        "scales so far apart that a cast to FP8 may lose small weights", "keep the experts FP4, or see what dsv4-convert run --experts fp8 says" },
	{ "suspect.config",        ERR_NONE,        "a field of config.json has a value that no published model has", "compare with the config.json that was published with the weights" },
	{ "suspect.constant",      ERR_NONE,        "all values of a tensor are the same", "compare with the source: the tensor may have been made anew" },
	{ "suspect.expert-twice",  ERR_NONE,        "tid2eid names an expert twice for a token", "compare with the source" },
	{ "suspect.narrowed",      ERR_NONE,        "FP32 values that all fit BF16", "compare with the source: they may have been stored as BF16 once" },
	{ "suspect.nibble-order",  ERR_NONE,        "FP4 codes that fit better in another order", "compare with the source; unpack with the order that the sentence names" },
	{ "suspect.reciprocal",    ERR_NONE,        "scales so large that they may be reciprocals", "compare with the source" },
	{ "suspect.scale-outlier", ERR_NONE,        "scales far from those of the same matrix in other blocks", "compare with the source" },
	{ "suspect.scale-zero",    ERR_NONE,        "a scale byte of 0", "compare with the source; some engines read it as zero" },
	{ "suspect.zeros",         ERR_NONE,        "a region of zeros in BF16 or FP32 values", "compare with the source" },

	{ NULL, ERR_NONE, NULL, NULL },
};
/* clang-format on */

static const char *const kind_name[] = { [ERR_NONE] = "warning",
	[ERR_DATA] = "data",
	[ERR_MISMATCH] = "mismatch",
	[ERR_UNSUPPORTED] = "unsupported",
	[ERR_USAGE] = "usage",
	[ERR_SYSTEM] = "system" };

const struct rule *rule_find(const char *id)
{
	const struct rule *r;

	for (r = rules; r->id; r++)
		if (!strcmp(r->id, id))
			return r;
	return NULL;
}

static int exit_of(const struct rule *r)
{
	return err_exit_code(&(struct err){ .kind = r->kind });
}

void rule_put_text(struct text *out)
{
	const struct rule *r;

	text_fmt(out, "%-28s %-4s %-12s %s\n", "rule", "exit", "kind", "meaning -> remedy");
	for (r = rules; r->id; r++)
		text_fmt(out, "%-28s %-4d %-12s %s\n%-46s -> %s\n", r->id, exit_of(r),
			kind_name[r->kind], r->text, "", r->remedy);
}

void rule_put_json(struct text *out)
{
	const struct rule *r;
	struct jwrite o;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", FORMAT_RULES_JSON);
	jwrite_open(&o, "rules", '[');
	for (r = rules; r->id; r++) {
		jwrite_open(&o, NULL, '{');
		jwrite_u64(&o, "exit", (uint64_t)exit_of(r));
		jwrite_str(&o, "id", r->id);
		jwrite_str(&o, "kind", kind_name[r->kind]);
		jwrite_str(&o, "meaning", r->text);
		jwrite_str(&o, "remedy", r->remedy);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
}
