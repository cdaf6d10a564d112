//! bash, coreutils and their friends.

use crate::{assert_same, need};
use runtime_tests::{Stage, stories};

stories!(pipelines_of_coreutils, bash_itself, archives_and_searches);

fn same(stage: &Stage, story: &str, script: &str) {
    let Some(bash) = need(stage, &format!("shell::{story}"), "bash") else { return };
    assert_same(stage, "shell", &[&bash, "-c", script]);
}

fn pipelines_of_coreutils(stage: &Stage) {
    let script = r#"
set -euo pipefail
seq 1 20000 | awk '{print $1 % 97}' | sort -n | uniq -c | sort -k1,1nr -k2,2n | head -5 | sed 's/^ *//' || true
seq 1 1000 | xargs -n 50 -P 4 sh -c 'echo $#' _ | sort | uniq -c
printf '%s\n' b a c | sort | paste -sd, | tr a-c A-C; seq 3 | tac | nl | cut -f2 | tee copy | wc -l; cat copy
head -c 1000000 /dev/zero | sha256sum; dd if=/dev/zero bs=1k count=10 2>/dev/null | md5sum; echo text | base64 | base64 -d
join <(printf '1 a\n2 b\n') <(printf '1 x\n2 y\n'); comm -12 <(seq 1 5) <(seq 3 8); split -b 10 copy part; ls; stat -c '%s %F' copy
mktemp -d >/dev/null; timeout 0.1 sleep 5 || echo "timeout $?"; env -i A=1 env; date -u -d @0 +%FT%T; expr 6 \* 7; factor 97; numfmt --to=iec 1048576
truncate -s 5M sparse; du --apparent-size -b sparse; shuf -i 1-5 | sort -n | tr '\n' ' '; echo; od -An -tx1 <<<"hi"; fold -w 3 <<<abcdef; basename "$PWD" >/dev/null
"#;
    same(stage, "pipelines_of_coreutils", script);
}

fn bash_itself(stage: &Stage) {
    let script = r#"
declare -A map=([one]=1 [two]=2); for key in $(printf '%s\n' "${!map[@]}" | sort); do echo "$key ${map[$key]}"; done
mapfile -t lines < <(seq 3); echo "${#lines[@]} ${lines[*]}"; [[ abc =~ ^a(.)c$ ]] && echo "${BASH_REMATCH[1]}"
sleep 0.05 & wait $!; echo "waited $?"; (exit 4); echo $?; false | true; echo "${PIPESTATUS[*]}"; trap 'echo bye' EXIT
coproc cat; echo through >&"${COPROC[1]}"; read -r line <&"${COPROC[0]}"; echo "$line"; eval "exec ${COPROC[1]}>&-"; wait
mkfifo pipe; (echo fifo >pipe &); cat pipe; exec 5<>file; echo five >&5; cat file; ulimit -S -n 64; ulimit -n; umask 077; touch private; stat -c %a private
shopt -s globstar nullglob; mkdir -p a/b; touch a/b/c; echo **/c; printf '%q\n' "it's"; echo $((2**40)) ${BASH_VERSION%%.*}; type -t cd; kill -l 9; cat <<<"$(<file)"
"#;
    same(stage, "bash_itself", script);
}

fn archives_and_searches(stage: &Stage) {
    let script = r#"
set -euo pipefail
mkdir -p tree/{a,b/c}; for n in 1 2 3; do seq $n $((n * 100)) >tree/b/c/$n; done; ln -s ../b/c/1 tree/a/link; chmod 640 tree/b/c/2
tar -cf - --sort=name --mtime=@0 --owner=0 --group=0 tree | sha256sum; tar -czf x.tgz tree; mkdir out; tar -xzf x.tgz -C out; diff -r tree out/tree && echo same
find out -type f -size +100c -printf '%P %s %m\n' | sort; grep -rn '^99$' tree | sort; grep -c . tree/b/c/3; find tree -type l -exec readlink {} \;
gzip -k tree/b/c/3; gunzip -c tree/b/c/3.gz | cmp - tree/b/c/3 && echo equal; cp -a tree copy; mv copy moved; rm -r out; ls -R moved
sed -i 's/^1$/one/' tree/b/c/1; head -1 tree/b/c/1; { diff -u moved/b/c/1 tree/b/c/1 || true; } | tail -n +3 | sed -n 1,4p; test -w tree && echo writable; perl -e 'print "perl\n"' || true
"#;
    same(stage, "archives_and_searches", script);
}
