#!/bin/sh
# Ends what `npm start` has started when `npm start` itself is killed and can't: its end closes our standard input.
# Each line we read replaces the one before: process ids in the order of ending, "gateway|worker worker|redis".
# A shell because it takes 1 MB where Node takes 40, and because Redis can't watch over its parent itself.

gateways='' workers='' redis=''
while IFS='|' read -r first second third; do
  gateways=$first workers=$second redis=$third
done

# Whether one of the given processes runs. One that nobody has asked about since it ended can still be signalled.
any_runs() {
  for pid; do
    case $(cat "/proc/$pid/stat" 2>/dev/null) in *') Z '*) continue ;; esac
    kill -0 "$pid" 2>/dev/null && return 0
  done
  return 1
}

# Ends the given processes and waits for that, for at most as many tenths of a second as the first argument says.
end() {
  tenths=$1
  shift
  kill -TERM "$@" 2>/dev/null
  while [ "$tenths" -gt 0 ] && any_runs "$@"; do
    sleep 0.1
    tenths=$((tenths - 1))
  done
  kill -KILL "$@" 2>/dev/null
}

# Unquoted on purpose: each list is several arguments, or none.
[ -n "$gateways" ] && end 30 $gateways
[ -n "$workers" ] && end 20 $workers
[ -n "$redis" ] && end 10 $redis
exit 0
