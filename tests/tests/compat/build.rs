//! Compilers, make, git.

use crate::{assert_same, need};
use runtime_tests::{Stage, stories};

stories!(c_and_cpp_with_make, git_from_init_to_clone);

fn c_and_cpp_with_make(stage: &Stage) {
    for name in ["gcc", "g++", "make"] {
        if need(stage, "build::c_and_cpp_with_make", name).is_none() {
            return;
        }
    }
    let script = r#"
set -e
cat >part.c <<'END'
#include <math.h>
#include <pthread.h>
static void *work(void *n) { *(double *)n = sqrt(*(double *)n); return 0; }
double root(double n) { pthread_t t; pthread_create(&t, 0, work, &n); pthread_join(t, 0); return n; }
END
cat >main.c <<'END'
#include <stdio.h>
double root(double);
int main(void) { printf("hello from C %.3f\n", root(2)); return 0; }
END
cat >main.cpp <<'END'
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <thread>
#include <vector>
int main() {
  std::vector<int> v{3, 1, 2}; std::thread([&] { std::sort(v.begin(), v.end()); }).join();
  try { throw std::runtime_error("caught"); } catch (const std::exception &e) { std::cout << e.what() << ' ' << v[0] << v[1] << v[2] << '\n'; }
  std::cout << std::filesystem::exists("main.cpp") << '\n';
}
END
cat >Makefile <<'END'
all: hello hellopp
libpart.a: part.o
	ar rcs $@ $<
hello: main.o libpart.a
	$(CC) -o $@ $^ -lm -lpthread
hellopp: main.cpp
	$(CXX) -O2 -std=c++17 -o $@ $< -lpthread
END
make -s -j2 && ./hello && ./hellopp
gcc -O2 -flto -shared -fPIC -o libpart.so part.c -lm -lpthread && gcc -o dynamic main.c ./libpart.so && ./dynamic
gcc -static -o fixed main.c part.c -lm -lpthread 2>/dev/null && ./fixed || echo no static C library
echo 'int main(void) { return 1 +; }' >bad.c; gcc -c bad.c 2>/dev/null || echo "refused $?"; gcc -dumpmachine; touch main.c; make -s; ls *.a *.o
"#;
    let said = assert_same(stage, "build", &["/bin/bash", "-c", script]);
    assert!(said.starts_with("hello from C 1.414\ncaught 123\n1\n"), "{said}");
}

fn git_from_init_to_clone(stage: &Stage) {
    let Some(git) = need(stage, "build::git_from_init_to_clone", "git") else { return };
    // Names and dates are given, so the hashes are the same everywhere.
    let script = r#"
set -e
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=c GIT_COMMITTER_EMAIL=c@example.org
export GIT_AUTHOR_DATE='2001-01-01T00:00:00Z' GIT_COMMITTER_DATE='2001-01-01T00:00:00Z'
git=$0
$git init -q -b main repo && cd repo
for n in 1 2 3 4 5; do mkdir -p dir$n; seq 1 ${n}000 >dir$n/file; ln -sf file dir$n/link; chmod 755 dir$n/file; $git add -A; $git commit -q -m "commit $n"; done
$git rev-parse HEAD; $git log --format='%h %s %an' ; $git diff --stat HEAD~2 | tail -1
$git checkout -q -b side HEAD~2; echo side >side; $git add side; $git commit -q -m side; $git checkout -q main; $git merge -q -m merged side; $git rev-parse HEAD
$git gc -q --aggressive --prune=now; $git fsck --full --no-progress; $git count-objects -v | grep -E '^(count|in-pack|packs)'; $git tag -a v1 -m one; $git describe
echo change >>side; $git stash -q; $git status --porcelain; $git stash pop -q; $git status --porcelain; $git checkout -q side
cd ..; $git clone -q repo clone; $git clone -q --no-local repo far; $git -C far rev-parse HEAD; $git -C clone worktree add -q ../tree HEAD; ls tree; $git clone -q --bare repo bare.git
cd clone; echo more >more; $git add more; $git commit -q -m more; $git push -q ../bare.git HEAD:other; $git -C ../bare.git rev-parse other; $git archive HEAD | sha256sum; $git blame -s side
"#;
    assert_same(stage, "build", &["/bin/bash", "-c", script, &git]);
}
