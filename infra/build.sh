#!/usr/bin/env bash
# The Lambda zips: build.sh [x86_64|arm64 [FUNCTION...]]. Each function has a folder of its name below target/lambda/, with `bootstrap` and `bootstrap.zip`.
#
# The same commit gives the same bytes, wherever it is checked out: paths of this machine are replaced in the binaries, and the zips are written by zip.py.
# What else goes in is pinned: Cargo.lock, and the compiler whose version is printed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
arch=${1:-x86_64}
functions=("${@:2}")
[ "${#functions[@]}" -gt 0 ] || functions=(gateway rate-limiter budget)

fail() { echo "build: $*" >&2; exit 1; }

case "$arch" in
  x86_64) target=x86_64-unknown-linux-gnu ;;
  arm64) target=aarch64-unknown-linux-gnu ;;
  *) fail "ARCH=$arch: x86_64 or arm64" ;;
esac
cd "$root"
sysroot=$(rustc --print sysroot)
[ -d "$sysroot/lib/rustlib/$target/lib" ] || fail "the Rust toolchain has no standard library for $target. Install it (rustup target add $target) and run this again"
command -v cargo-lambda > /dev/null || fail "cargo-lambda is not on the PATH: run make build, which installs it"

# cargo-lambda's linker for other architectures is zig, which it finds in the same environment.
compiler=cargo
[ "$(rustc -vV | sed -n 's/^host: //p')" = "$target" ] || compiler=cargo-zigbuild

commit=$(rustc -vV | sed -n 's/^commit-hash: //p')
flags="--remap-path-prefix=$root=/tollgate"
flags+=" --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
flags+=" --remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rustc/$commit"
case "$flags" in *' '*' '*' '*) fail "a path with spaces cannot be replaced in the binaries: $root" ;; esac
# Flags and profiles of whoever builds would give other bytes.
unset CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS "CARGO_TARGET_$(echo "$target" | tr 'a-z-' 'A-Z_')_RUSTFLAGS"
for variable in $(compgen -e CARGO_PROFILE_ || true); do unset "$variable"; done

RUSTFLAGS=$flags cargo lambda build --release --locked --compiler "$compiler" --target "$target" --output-format binary --no-default-features \
  $(printf -- '-p tollgate-%s ' "${functions[@]}")

rustc --version
printf '%-14s %-8s %12s %12s  %s\n' function arch bytes zipped 'sha256 of the zip, of the binary'
for name in "${functions[@]}"; do
  folder=target/lambda/$name
  rm -f "$folder/bootstrap.zip"
  # By cargo-lambda the profile's `strip` comes to nothing: 3 MB of symbols of the gateway's. A binary for another architecture keeps them.
  [ "$compiler" != cargo ] || strip "$folder/bootstrap"
  python3 infra/zip.py "$folder/bootstrap.zip" "bootstrap=$folder/bootstrap"
  printf '%-14s %-8s %12s %12s  %s\n%50s%s\n' "$name" "$arch" "$(stat -c %s "$folder/bootstrap")" "$(stat -c %s "$folder/bootstrap.zip")" \
    "$(sha256sum < "$folder/bootstrap.zip" | cut -d' ' -f1)" '' "$(sha256sum < "$folder/bootstrap" | cut -d' ' -f1)"
done
