# Lines of gpu_check.sh's page from what the CUDA benches print (JSON lines on standard input): the
# median of each side and of their ratio, or a ceiling. No number where the device was simulated.
# Exit 1 where there is none. awk -v bench=BENCH -f lines.awk. Awk, since a bare machine may have no
# Python.
BEGIN {
  split("exchange:NCCL alone,experts:cuBLAS alone,tax:no clock,start barrier:without,stages:whole steps",
        rows, ",")
  for (i in rows) {
    split(rows[i], row, ":")
    references[row[1]] = row[2]
  }
  names["byte"] = "GB/s"; scales["byte"] = 1e9
  names["FLOP"] = "TFLOP/s"; scales["FLOP"] = 1e12
}

# What follows "KEY": in this line, without quotes or brackets.
function member(key,    rest) {
  rest = "," substr($0, 2)
  if (!(key = index(rest, ",\"" key "\":"))) return ""
  rest = substr(rest, key + 1)
  sub(/^"[^"]*":/, "", rest)
  if (rest ~ /^"/) { rest = substr(rest, 2); sub(/".*/, "", rest) }
  else if (rest ~ /^\[/) { rest = substr(rest, 2); sub(/\].*/, "", rest) }
  else sub(/[,}].*/, "", rest)
  return rest
}

function median(values, count,    i, k, value) {
  for (i = 2; i <= count; ++i) {
    value = values[i]
    for (k = i - 1; k >= 1 && values[k] > value; --k) values[k + 1] = values[k]
    values[k + 1] = value
  }
  return count % 2 ? values[(count + 1) / 2] : (values[count / 2] + values[count / 2 + 1]) / 2
}

/^\{/ && member("bench") == bench {
  ++found
  printf "  %-13s %-42s %3d ranks  ", bench, member("shape"), member("ranks")
  if (member("device") ~ /simulated/) {
    print "ran on the simulation: no GPU, so no times"
    next
  }
  unit = member("unit")
  if (bench == "ceiling") {
    printf "%.4g %s\n", member("value"), unit
    next
  }
  count = split(member("ours"), ours, ",")
  split(member("reference"), reference, ",")
  for (i = 1; i <= count; ++i) {
    ours[i] += 0; reference[i] += 0
    ratios[i] = reference[i] / ours[i]
    added[i] = 100 * (ours[i] / reference[i] - 1)
  }
  time = median(ours, count)
  printf "ours %9.1f us, %s %9.1f us, ", time * 1e6, references[bench], median(reference, count) * 1e6
  if (unit in names) {
    printf "ratio %.3f, %.1f %s\n", median(ratios, count), member("work") / time / scales[unit], names[unit]
  } else {
    printf "%+.2f %%\n", median(added, count)
  }
}

END {
  if (!found) print "  no comparison '" bench "' was made"
  exit !found
}
