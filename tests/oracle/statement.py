"""Holds a folder to a signed bundle, or to a statement, as docs/signing.md describes them.

    statement.py FOLDER FILE [PUBLIC_KEY]

Written from docs/signing.md alone; what it does not know, it refuses. Ends with 1 and a line where something is not as
it should be.
"""

import base64
import hashlib
import json
import os
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SIGNING = "https://model_signing/signature/v1.0"
CONVERSION = "https://dsv4-tools/conversion/v1"
LEFT_OUT = {".DS_Store", ".cache", ".git", ".gitattributes", ".github", ".gitignore", ".huggingface", "lost+found", "model.sig",
            "manifest.json.minisig"}


def need(true, what):
    if not true:
        print(what)
        sys.exit(1)


def once(pairs):
    need(len({k for k, _ in pairs}) == len(pairs), "a member twice")
    return dict(pairs)


def payload_of(bundle, key_path):
    """The bytes that were signed, once that was found true."""
    need(bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json", "mediaType")
    key = serialization.load_pem_public_key(open(key_path, "rb").read())
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    need(bundle["verificationMaterial"]["publicKey"]["hint"] == hashlib.sha256(pem).hexdigest(), "hint")
    envelope = bundle["dsseEnvelope"]
    kind = envelope["payloadType"].encode()
    payload = base64.b64decode(envelope["payload"], validate=True)
    need(len(envelope["signatures"]) == 1, "signatures")
    signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
    digest = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[key.curve.key_size]
    pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    try:
        key.verify(signature, pae, ec.ECDSA(digest))
    except InvalidSignature:
        need(False, "the signature")
    return payload


def files_of(folder):
    """Path and SHA-256 of all files, but for what is left out."""
    found = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.relpath(os.path.join(where, name), folder)
            if path.split(os.sep)[0] not in LEFT_OUT:
                with open(os.path.join(folder, path), "rb") as f:
                    found[path] = hashlib.file_digest(f, "sha256").hexdigest()
    return found


def check_signing(statement, found):
    resources = statement["predicate"]["resources"]
    names = [r["name"] for r in resources]
    need(names == sorted(names), "the order of the resources")
    need({r["name"]: r["digest"] for r in resources} == found, "the files")
    need(all(r["algorithm"] == "sha256" for r in resources), "algorithm")
    root = hashlib.sha256(b"".join(bytes.fromhex(r["digest"]) for r in resources)).hexdigest()
    need([s["digest"] for s in statement["subject"]] == [{"sha256": root}], "the root")
    serialization_ = statement["predicate"]["serialization"]
    need(serialization_["method"] == "files" and serialization_["hash_type"] == "sha256", "serialization")
    need(serialization_["allow_symlinks"] is False, "allow_symlinks")
    need(set(serialization_["ignore_paths"]) <= LEFT_OUT, "ignore_paths")


def check_conversion(statement, found, folder):
    need({s["name"]: s["digest"]["sha256"] for s in statement["subject"]} == found, "the files")
    said = statement["predicate"]
    manifest = json.load(open(os.path.join(folder, "manifest.json")))
    for member in ("format", "options", "plan", "target", "tool"):
        need(said[member] == manifest[member], member)
    source = manifest.get("source")
    if source is None:
        source = json.load(open(os.path.join(folder, "source", "manifest.json")))["source"]
    for member in ("bytes", "sha256", "tensors"):
        need(said["source"][member] == source[member], "source " + member)
    shards = [(s["name"], s["bytes"], s["digest"]["sha256"] if "digest" in s else None) for s in said["source"]["shards"]]
    need(shards == [(s["name"], s["bytes"], s["sha256"]) for s in source["shards"]], "source shards")


def main():
    folder, path = sys.argv[1:3]
    document = json.load(open(path, encoding="utf-8"), object_pairs_hook=once)
    if len(sys.argv) > 3:
        document = json.loads(payload_of(document, sys.argv[3]), object_pairs_hook=once)
    need(document["_type"] == "https://in-toto.io/Statement/v1", "_type")
    found = files_of(folder)
    if document["predicateType"] == SIGNING:
        check_signing(document, found)
    else:
        need(document["predicateType"] == CONVERSION, "predicateType")
        check_conversion(document, found, folder)


main()
