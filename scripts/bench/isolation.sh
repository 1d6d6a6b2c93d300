#!/usr/bin/env bash
# What a process of its own costs a driver: the same client and the same driver's end in one process and in two, natively, in turns.
set -euo pipefail
# shellcheck source=scripts/bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bench_options "$@"
cd "$ROOT"
"$ROOT/scripts/install.sh" build
dotnet build tests/Xinim.Benchmarks --configuration Release --verbosity quiet --nologo
dotnet artifacts/bin/Xinim.Benchmarks/release/Xinim.Benchmarks.dll hop --rounds "$ROUNDS" --seconds "$SECONDS_EACH" >>"$RAW"
printf 'sddf\t350\n' >>"$RAW"

for batch in 1 32; do
  figure "batch $batch, one process, cycles a packet" "hop.one.$batch" none 'none' 'none'
  figure "batch $batch, two processes, wall cycles a packet" "hop.wall.$batch" "hop.one.$batch" 'the same in one process' 'none'
  figure "batch $batch, two processes, cycles of both processors a packet" "hop.total.$batch" "hop.one.$batch" 'the same in one process' 'none'
  figure "batch $batch, the hop's extra cycles a packet" "hop.extra.$batch" sddf 'sDDF at wire speed, as reported, not measured here' 'none'
  figure "batch $batch, packets that the driver finds at a time" "hop.batch.$batch" none 'none' 'none'
  figure "batch $batch, two processes, undisturbed measurements, %" "hop.quiet.two.$batch" none 'none' 'none'
done
figure 'one packet there and back, two processes, wall cycles' hop.wall.pingpong hop.one.pingpong 'the same in one process' 'none'
