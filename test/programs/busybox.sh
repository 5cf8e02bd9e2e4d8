# Only what the shell does itself, without a second process.
read line
echo "read: $line"
cd /data
for f in w*s; do test -s $f && echo "$f is there"; done
echo "sum $((6 * 7)) $(( (1 << 20) % 1000 ))"
printf '%05d|%s\n' 42 text
i=0
while read word; do i=$((i + 1)); eval "w$i=$word"; done <words
echo "words $i, $w1 to $w4"
cd /tmp && pwd
echo one >text && echo two >>text
while IFS= read -r l; do echo "<$l>"; done <text
trap 'echo trapped' USR1
kill -USR1 $$
