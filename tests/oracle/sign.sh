# Signatures, there and back with the tools that others use: read by run.sh, whose functions and $work it uses.
#
# What it is: model_signing as published (in a virtualenv of its own) and Debian's minisign on folders that dsv4-convert
# made and on one with awkward names; each signs what the other verifies, and each refuses what was tampered with.
# statement.py reads bundles and statements once more, from docs/signing.md alone.
# What it is not: tests of what dsv4-verify refuses; tests/test_sign_bad.c has those.

verify=$B/dsv4-verify
sign_venv=build/oracle-sign-venv
model_signing=$sign_venv/bin/model_signing

if ! cmp -s $here/sign.txt $sign_venv/sign.txt; then
    echo "making $sign_venv"
    rm -rf $sign_venv
    if python3 -m venv $sign_venv &&
        $sign_venv/bin/python -m pip install -q --disable-pip-version-check -r $here/sign.txt; then
        cp $here/sign.txt $sign_venv/sign.txt
    fi
fi
if ! command -v minisign >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get install -y -q --no-install-recommends minisign >/dev/null 2>&1 ||
        { apt-get update -q && apt-get install -y -q --no-install-recommends minisign; } >/dev/null 2>&1
fi

keys=$work/keys
mkdir -p "$keys"
chmod 700 "$keys"
for curve in prime256v1 secp384r1 secp521r1; do
    openssl ecparam -name $curve -genkey -noout -out "$keys/$curve.pem" 2>/dev/null
    openssl ec -in "$keys/$curve.pem" -pubout -out "$keys/$curve.pub" 2>/dev/null
done
openssl ec -in "$keys/prime256v1.pem" -aes256 -passout pass:secret -out "$keys/locked.pem" 2>/dev/null
echo secret >"$keys/password"
chmod 600 "$keys"/*

# refuses NAME STATUS COMMAND...: the command ends with that status
refuses() {
    name=$1 want=$2
    shift 2
    "$@" >"$work/log" 2>&1
    status=$?
    echo "(exit status $status, must be $want)" >>"$work/log"
    if [ $status -eq "$want" ]; then ok "$name"; else fail "$name" "$work/log"; fi
}

# flip FILE BYTE: another value there
flip() {
    printf '~' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# the folders: three conversions, and one with names that sort differently by component and by byte, git's files
# and an empty file
mkdir -p "$work/signed"
$tool run tests/golden/tiny-flash -o "$work/signed/engine" --target marlin-mxfp4 --ranks 2 -q >/dev/null 2>&1
$tool run tests/golden/tiny-flash -o "$work/signed/official" --target official --mp 2 -q >/dev/null 2>&1
$tool run tests/golden/tiny-pro -o "$work/signed/hf" --target hf --experts fp8 -q >/dev/null 2>&1
odd=$work/signed/odd
mkdir -p "$odd/a" "$odd/a-b" "$odd/.git"
echo 1 >"$odd/a/z"
echo 2 >"$odd/a-b/y"
: >"$odd/empty"
echo '*.safetensors filter=lfs' >"$odd/.gitattributes"
echo x >"$odd/.git/config"
echo 3 >"$odd/größe 漢.json"
echo 4 >"$odd/quote\"back\\slash"

if [ -x $model_signing ]; then
    for folder in engine official hf odd; do
        d=$work/signed/$folder
        check "sign $folder" $verify sign "$d" --key "$keys/prime256v1.pem"
        check "sign $folder: model_signing verifies" $model_signing verify key "$d" \
            --signature "$d/model.sig" --public_key "$keys/prime256v1.pub"
        check "sign $folder: statement.py agrees" $sign_venv/bin/python $here/statement.py "$d" "$d/model.sig" \
            "$keys/prime256v1.pub"
        check "model_signing signs $folder" $model_signing sign key "$d" --signature "$d/model.sig" \
            --private_key "$keys/prime256v1.pem"
        check "model_signing signs $folder: verified" $verify signature "$d" --key "$keys/prime256v1.pub"
    done
    d=$work/signed/official
    for curve in secp384r1 secp521r1; do
        check "sign $curve" $verify sign "$d" --key "$keys/$curve.pem" --overwrite
        check "sign $curve: model_signing verifies" $model_signing verify key "$d" \
            --signature "$d/model.sig" --public_key "$keys/$curve.pub"
        check "model_signing signs $curve" $model_signing sign key "$d" --signature "$work/away.sig" \
            --ignore-paths "$d/model.sig" --private_key "$keys/$curve.pem"
        check "model_signing signs $curve: verified" $verify signature "$d" --key "$keys/$curve.pub" \
            --signature "$work/away.sig"
    done
    check "sign with an encrypted key" $verify sign "$d" --key "$keys/locked.pem" --password "$keys/password" \
        --overwrite
    check "sign with an encrypted key: model_signing verifies" $model_signing verify key "$d" \
        --signature "$d/model.sig" --public_key "$keys/prime256v1.pub"

    # what one refuses, the other refuses too
    echo more >"$d/more"
    refuses "an extra file" 1 $verify signature "$d" --key "$keys/prime256v1.pub"
    refuses "an extra file: model_signing refuses" 1 $model_signing verify key "$d" \
        --signature "$d/model.sig" --public_key "$keys/prime256v1.pub"
    rm "$d/more"
    flip "$d/model1-mp2.safetensors" 300000
    refuses "a changed byte" 1 $verify signature "$d" --key "$keys/prime256v1.pub"
    refuses "a changed byte: model_signing refuses" 1 $model_signing verify key "$d" \
        --signature "$d/model.sig" --public_key "$keys/prime256v1.pub"

    # what model_signing signs and we do not take
    d=$work/signed/odd
    $model_signing sign key "$d" --signature "$d/model.sig" --private_key "$keys/prime256v1.pem" \
        --ignore-paths "$d/empty" >/dev/null 2>&1
    refuses "a signature that leaves out a file" 1 $verify signature "$d" --key "$keys/prime256v1.pub"
    ln -s empty "$d/link"
    $model_signing sign key "$d" --signature "$d/model.sig" --private_key "$keys/prime256v1.pem" \
        --allow_symlinks >/dev/null 2>&1
    refuses "a signature that follows links" 2 $verify signature "$d" --key "$keys/prime256v1.pub"
    rm "$d/link"
else
    skip "model_signing (no virtualenv with it)"
fi

if command -v minisign >/dev/null; then
    minisign -G -f -W -p "$keys/plain.pub" -s "$keys/plain.key" >/dev/null 2>&1
    printf 'secret\nsecret\n' | minisign -G -f -p "$keys/hidden.pub" -s "$keys/hidden.key" >/dev/null 2>&1
    chmod 600 "$keys"/*.key
    for folder in engine hf; do
        d=$work/signed/$folder
        m=$d/manifest.json
        check "minisign $folder" $verify sign "$d" --key "$keys/plain.key"
        check "minisign $folder: minisign verifies" minisign -Vq -p "$keys/plain.pub" -m "$m" -x "$m.minisig"
        check "minisign signs $folder" minisign -S -s "$keys/plain.key" -m "$m" -x "$m.minisig" \
            -t "a comment of its own" -c "anything"
        check "minisign signs $folder: verified" $verify signature "$d" --key "$keys/plain.pub"
        minisign -S -l -s "$keys/plain.key" -m "$m" -x "$m.minisig" >/dev/null 2>&1
        refuses "minisign signs $folder in the old form" 1 $verify signature "$d" --key "$keys/plain.pub"
    done
    d=$work/signed/engine
    m=$d/manifest.json
    check "minisign with an encrypted key" $verify sign "$d" --key "$keys/hidden.key" --password "$keys/password" \
        --overwrite
    check "minisign with an encrypted key: minisign verifies" minisign -Vq -p "$keys/hidden.pub" -m "$m" -x "$m.minisig"
    sed -i 's/target:marlin/target:merlin/' "$m.minisig"
    refuses "a changed comment" 1 $verify signature "$d" --key "$keys/hidden.pub"
    refuses "a changed comment: minisign refuses" 1 minisign -Vq -p "$keys/hidden.pub" -m "$m" -x "$m.minisig"
    $verify sign "$d" --key "$keys/plain.key" --overwrite >/dev/null 2>&1
    flip "$m" 20
    refuses "a changed manifest" 1 $verify signature "$d" --key "$keys/plain.pub"
    refuses "a changed manifest: minisign refuses" 1 minisign -Vq -p "$keys/plain.pub" -m "$m" -x "$m.minisig"
else
    skip "minisign (it is not here)"
fi

if [ -x $sign_venv/bin/python ]; then
    d=$work/signed/hf
    check "attest" $verify attest "$d" -o "$work/statement.json"
    check "attest: statement.py agrees" $sign_venv/bin/python $here/statement.py "$d" "$work/statement.json"
    check "attest with a key" $verify attest "$d" -o "$work/statement.sig" --key "$keys/prime256v1.pem"
    check "attest with a key: statement.py agrees" $sign_venv/bin/python $here/statement.py "$d" "$work/statement.sig" \
        "$keys/prime256v1.pub"
    flip "$d/config.json" 3
    refuses "attest: statement.py notices" 1 $sign_venv/bin/python $here/statement.py "$d" "$work/statement.sig" \
        "$keys/prime256v1.pub"
else
    skip "attest (no virtualenv)"
fi
