# Build, test and try reviewsd on Debian or Ubuntu. Each target works alone on a fresh machine that
# has Rust and make.

# The demo listens here; give LISTEN= or ADMIN= to have it elsewhere. Port 0 is any free one.
LISTEN ?= 127.0.0.1:8080
ADMIN ?= 127.0.0.1:0
# The size of the demo's shop.
PRODUCTS ?= 10000
# Where the benchmarks write their report, and where they keep data between runs (anew beside the
# programs, if empty).
OUT ?= bench
WORK ?=
# How often the crash test kills a server, and the chaos test breaks something.
ROUNDS ?= 200
# How many runs of the simulation there are.
SEEDS ?= 100000
# How long each fuzz target looks for something.
SECONDS ?= 60

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.NOTPARALLEL:
# Where rustup puts cargo, for shells that have not been started anew since.
export PATH := $(PATH):$(HOME)/.cargo/bin

# One profile, and always the whole workspace: building a part of it may choose other features of
# shared crates, and then RocksDB is compiled a second time.
WHOLE := --release --workspace

# Where cargo builds, as the environment or cargo's own configuration says.
TARGET = $$(cargo metadata --no-deps --offline --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

# Before a build: says how far RocksDB is while that is compiled.
PROGRESS = packaging/progress.sh $(TARGET)

.PHONY: help demo demo-port test crash chaos simulate fuzz micro build reference pictures setup lint about deb tarball image test-image sbom test-systemd attack bench bench-quick bench-packages clean-demo

help:
	@echo 'make demo        build, fill a store with a shop of $(PRODUCTS) products, serve it on $(LISTEN)'
	echo '                 (LISTEN=127.0.0.1:9000 serves elsewhere, PRODUCTS=100000 makes a larger shop)'
	echo 'make test        build and run every test'
	echo 'make crash       kill a server $(ROUNDS) times under load, cut the power or damage its log, and look for lost writes'
	echo 'make chaos       break a primary, three copies and what lies between $(ROUNDS) times, and compare them'
	echo '                 (ROUNDS=1000 makes crash and chaos longer)'
	echo 'make simulate    the same of the protocol alone, in simulated time, for $(SEEDS) seeds'
	echo 'make fuzz        look for requests that break what must hold, each target for $(SECONDS) seconds (SECONDS=600 for more)'
	echo 'make attack      attack a primary and a replica of 1 GiB each, and see what an innocent client sees'
	echo 'make micro       measure the pieces of the hot path, and compare them with the last time'
	echo 'make deb         build the package for Debian and Ubuntu: target/debian/reviewsd_*.deb'
	echo 'make test-systemd install that in a Debian that systemd boots in a container (as root), and try it'
	echo 'make tarball     pack the program with its units and pages: target/tarball/reviewsd-*.tar.gz'
	echo 'make image       make the container image: target/image/reviewsd.tar, for docker load'
	echo 'make test-image  run that as an unprivileged user with a read-only root (as root, with runc)'
	echo 'make sbom        list what the program is made of: target/sbom/reviewsd.cdx.json'
	echo 'make bench       measure everything beside Express and PostgreSQL, into $(OUT)/RESULTS.md (half an hour)'
	echo 'make bench-quick the same with a smaller shop, in a few minutes'
	echo 'make build       build; the programs are target/release/reviewsd and reviewsd-bench'
	echo 'make setup       install the system packages that building takes'
	echo 'make lint        check the format and run clippy'
	echo 'make reference   write the pages of the documents that are generated from the program'
	echo 'make pictures    draw the pictures of the documents (takes graphviz)'
	echo 'make clean-demo  remove the demo and its data'

# Looks for what building needs beside Rust, and installs what is missing where that can be done
# without asking. Touches the network only when something is missing.
setup:
	@command -v cargo >/dev/null || {
		echo 'Rust is missing: install it as https://rustup.rs says, then run this again.' >&2
		exit 1
	}
	# The version that rust-toolchain.toml names; rustup mostly installs it unasked.
	cargo --version >/dev/null || rustup toolchain install
	there() { compgen -G "$$1" >/dev/null; }
	libclang() {
		local dir
		for dir in "$${LIBCLANG_PATH:-/nowhere}" /usr/lib/llvm-*/lib /usr/lib /usr/lib64 /usr/lib/*-linux-gnu /usr/local/lib; do
			if there "$$dir/libclang.so*" || there "$$dir/libclang-[0-9]*.so*"; then return 0; fi
		done
		return 1
	}
	missing() {
		# RocksDB and jemalloc are compiled from their C and C++ sources …
		{ command -v cc && command -v c++ && command -v make; } >/dev/null || echo build-essential
		# … and RocksDB's interface is read from its C header by libclang.
		command -v clang >/dev/null || echo clang
		libclang || echo libclang-dev
	}
	packages=$$(missing | xargs)
	[ -n "$$packages" ] || exit 0
	install="apt-get install --yes --no-install-recommends $$packages"
	if ! command -v apt-get >/dev/null; then
		echo "Missing, by Debian's names: $$packages. Install what your system calls them, then run this again." >&2
		exit 1
	elif [ "$$(id -u)" = 0 ]; then
		root=
	elif sudo -n true 2>/dev/null; then
		root='sudo -n'
	else
		echo "Missing: $$packages. Install them with this, then run this again:" >&2
		echo "  sudo apt-get update && sudo $$install" >&2
		exit 1
	fi
	echo "Installing $$packages"
	$$root apt-get update
	$$root env DEBIAN_FRONTEND=noninteractive $$install
	packages=$$(missing | xargs)
	[ -z "$$packages" ] || { echo "Still missing after installing: $$packages" >&2; exit 1; }

build: setup
	@$(PROGRESS) cargo build $(WHOLE)

test: setup
	@$(PROGRESS) cargo test $(WHOLE) --no-run
	cargo test $(WHOLE) --no-fail-fast

# Kills the server under load, throws away its writes that were not durable or damages its log, and
# compares the rest with the acknowledged writes. Some servers are backed up when they die.
# REVIEWSD_CRASH_SEED=n repeats the run that named this seed.
crash: setup
	REVIEWSD_CRASH_ROUNDS=$(ROUNDS) cargo test $(WHOLE) --test it crash::acknowledged -- --nocapture

# Kills, cuts, damages, stalls and refills a primary with three replicas under load, has it come back
# empty, with less, or after it was replaced, and compares their content. As root, root's commands are
# part of it. REVIEWSD_CHAOS_SEED=n repeats the run that named this seed.
chaos: setup
	REVIEWSD_CHAOS_ROUNDS=$(ROUNDS) cargo test $(WHOLE) --test it replication::chaos -- --nocapture

# The replication protocol without sockets, disks and waits. REVIEWSD_SIM_SEED=n repeats the run that
# named this seed, and prints its events.
simulate: setup
	REVIEWSD_SIM_SEEDS=$(SEEDS) cargo test $(WHOLE) --lib replication::simulation -- --nocapture

# Makes requests up under a sanitizer, which takes a nightly compiler. The inputs that a target reached
# are stored for its next run; its findings are in fuzz/artifacts/, and once they are fixed, in
# fuzz/corpus/.
fuzz: setup
	@target=$(TARGET)
	export PATH=$$PATH:$$target/tools/bin
	if ! cargo +nightly --version >/dev/null 2>&1; then
		echo 'A nightly compiler is missing; install it with this, then run this again:' >&2
		echo '  rustup toolchain install nightly --profile minimal' >&2
		exit 1
	fi
	if ! command -v cargo-fuzz >/dev/null; then
		echo 'cargo-fuzz is missing; compiling it takes a minute'
		# In a directory of its own: the workspace's features must not change beneath it.
		CARGO_TARGET_DIR=$$target/tools-build cargo install --locked --quiet cargo-fuzz --root "$$target/tools"
		rm -rf "$$target/tools-build"
	fi
	for name in body commit frame query route; do
		reached=$$target/fuzz/reached/$$name
		mkdir -p "$$reached"
		echo "=== $$name, for $(SECONDS) s"
		cargo +nightly fuzz run --target-dir "$$target/fuzz" "$$name" "$$reached" "fuzz/corpus/$$name" -- \
			-dict="fuzz/$$name.dict" -max_total_time=$(SECONDS) -timeout=10
	done

# With the profile that all else is built with. MICRO=answer measures what has that in its name.
micro: setup
	cargo bench --profile release --workspace --bench store --bench api -- $(MICRO)

# The files of a package beside the program, which it generates itself.
about: build
	@about=$(TARGET)/release/about
	rm -rf "$$about"
	$(TARGET)/release/reviewsd man --out "$$about"
	for shell in bash zsh fish; do
		$(TARGET)/release/reviewsd completions $$shell >"$$about/$$shell"
	done

# DEB_REVISION tells packages of one version apart that are made on different systems.
# Not stripped: names of functions in a backtrace, or before a profiler, are worth a few megabytes.
deb: about
	@tools=$(TARGET)/tools
	export PATH=$$PATH:$$tools/bin
	if ! command -v cargo-deb >/dev/null; then
		echo 'cargo-deb is missing; compiling it takes a minute or two'
		# In a directory of its own: the workspace's features must not change beneath it.
		CARGO_TARGET_DIR=$$tools-build cargo install --locked --quiet --version '^3.8' cargo-deb --root "$$tools"
		rm -rf "$$tools-build"
	fi
	rm -rf $(TARGET)/debian
	cargo deb --no-build --no-strip --locked $(if $(DEB_REVISION),--deb-revision '$(DEB_REVISION)')

# For systems without such packages: the files of the package, under the names of the checkout.
tarball: about
	@target=$(TARGET)
	rm -rf "$$target/tarball"
	name=reviewsd-$$("$$target/release/reviewsd" --version | sed -n '1s/^reviewsd \([^ ]*\).*/\1/p')-$$(uname -m)-linux
	dir=$$target/tarball/$$name
	mkdir -p "$$dir"
	cp "$$target/release/reviewsd" "$$dir"
	cp -R "$$target/release/about" "$$dir/about"
	git ls-files -z README.md CHANGELOG.md 'LICENSE-*' docs config systemd ':!systemd/tests' ':!systemd/deb' |
		xargs -0 cp --parents -t "$$dir"
	tar --create --gzip --file "$$dir.tar.gz" --directory "$${dir%/*}" --sort=name --owner=0 --group=0 \
		--numeric-owner --mtime="@$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}" "$$name"
	rm -r "$$dir"
	echo "$$dir.tar.gz"

# Every crate that is linked into the program, and the C and C++ libraries that come with them.
sbom:
	@packaging/sbom.py $(TARGET)/sbom/reviewsd.cdx.json

# Needs debootstrap and systemd-container, and says so. Takes five minutes, the next time a minute less:
# the bare Debian is cached.
test-systemd: deb
	@tests=$$(cargo test $(WHOLE) --no-run --message-format json 2>/dev/null |
		sed -n 's/.*"executable":"\([^"]*\/it-[^"]*\)".*/\1/p')
	[ -n "$$tests" ] || { echo 'the integration tests cannot be built; make test says why' >&2; exit 1; }
	target=$(TARGET)
	systemd/tests/booted.sh "$$target"/debian/reviewsd_*.deb "$$target/release/reviewsd-bench" "$$tests" "$$target/booted"

# From this machine's program and shared libraries, without a registry and without root.
image: build
	@packaging/image.sh $(TARGET)/release/reviewsd $(TARGET)/image/reviewsd.tar

# Needs runc, and says so.
test-image: image
	@packaging/image-test.sh $(TARGET)/image/reviewsd.tar $(TARGET)/release/reviewsd-bench

# Directly and through nginx, as root within control groups. SCALE=10 is a tenth of the attackers, TIME=3
# three seconds for each attack.
attack: build
	@TIME=$(or $(TIME),20) SCALE=$(or $(SCALE),100) REVIEWS=$(or $(REVIEWS),1600) \
		tests/attack/micro.sh $(TARGET)/release '$(or $(ATTACKS),tests/attack/results)'

# Everything again, at the full size and at once. As root, so that servers can be kept to 1 GiB and the
# page cache can be thrown out; as another user it reports what it could not do.
bench: PRODUCTS = 1000011
bench: TIME = 10s
bench: FRESH = --fresh
# The quick one retains its data and is less exact.
bench-quick: PRODUCTS = 50000
bench-quick: TIME = 3s
bench bench-quick: build
	@$(TARGET)/release/reviewsd-bench scenario all $(FRESH) --products $(PRODUCTS) --seconds $(TIME) \
		--out '$(OUT)' $(if $(WORK),--work '$(WORK)')

# What the peers need, where it can be installed; what is missing is left out of the report.
bench-packages:
	@missing() {
		command -v psql >/dev/null && compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ||
			echo postgresql
		PATH=$$PATH:/usr/sbin command -v nginx >/dev/null || echo nginx-light
		command -v node >/dev/null || echo nodejs
		command -v npm >/dev/null || echo npm
	}
	packages=$$(missing | xargs)
	[ -n "$$packages" ] || exit 0
	root=
	[ "$$(id -u)" = 0 ] || root='sudo -n'
	echo "Installing $$packages"
	# The packages would start a server each; ours have clusters and configurations of their own.
	$$root apt-get update &&
		$$root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
			apt-get install --yes --no-install-recommends $$packages ||
		echo "Not installed: $$packages; what needs them is left out." >&2

# Tests hold that these pages are what is generated.
reference: setup
	REVIEWSD_GOLDEN=write cargo test $(WHOLE) --lib config::reference
	REVIEWSD_GOLDEN=write cargo test $(WHOLE) --test it serve::metrics::reference

# The SVG files are in the repository, so that readers need no graphviz.
pictures:
	@command -v dot >/dev/null || { echo 'graphviz is missing: apt-get install graphviz' >&2; exit 1; }
	for picture in docs/pictures/*.dot; do
		dot -Tsvg "$$picture" -o "$${picture%.dot}.svg"
	done

lint: setup
	cargo fmt --all --check
	cargo clippy $(WHOLE) --all-targets -- -D warnings
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --locked --manifest-path fuzz/Cargo.toml --target-dir "$(TARGET)/fuzz" -- -D warnings

# Before a long build, not after it.
demo-port:
	@listen='$(LISTEN)'
	if (exec 3<>"/dev/tcp/$${listen%:*}/$${listen##*:}") 2>/dev/null; then
		echo "Another program listens at $$listen; end it, or try: make demo LISTEN=127.0.0.1:9000" >&2
		exit 1
	fi

demo: demo-port build
	@bin=$(TARGET)/release
	made="$(PRODUCTS) products, $$("$$bin/reviewsd" --version)"
	if [ "$$(cat demo/made 2>/dev/null)" != "$$made" ] || ! [ -e demo/data/store ]; then
		mkdir -p demo
		rm -f demo/made
		echo
		echo 'A shop of $(PRODUCTS) products, as CSV files in demo/csv:'
		"$$bin/reviewsd-bench" gen --products $(PRODUCTS) --out demo/csv --seed 1 | tee demo/shop
		echo
		echo 'Imported into demo/data:'
		"$$bin/reviewsd" import --csv demo/csv --data demo/data --replace --discard-posted --quiet
		echo "$$made" >demo/made
	fi
	# The product with the most reviews.
	hot=$$(sed -n 's/^hot products (id: reviews) \([0-9]*\):.*/\1/p' demo/shop)
	at='http://$(LISTEN)'
	at=$${at/0.0.0.0/127.0.0.1}
	printf '%s\n' '' 'Open in a browser:' \
		"  $$at/reviews?product_id=1" \
		"  $$at/products/1" \
		'' 'Or try:' \
		"  curl '$$at/reviews?product_id=$${hot:-1}&sort=newest&count=2'" \
		"  curl '$$at/reviews/meta?product_id=$${hot:-1}'" \
		"  curl '$$at/products?page=2&count=3'" \
		"  curl '$$at/products/1/styles'" \
		"  curl '$$at/products/1/related'" \
		"  curl -i -H 'Accept: application/json' '$$at/reviews?product_id=none'" \
		"  curl -i '$$at/reviews' -d '{\"product_id\":1,\"rating\":5,\"summary\":\"Warm\",\"body\":\"Just right.\",\"recommend\":true,\"name\":\"pine\",\"email\":\"pine@example.org\"}'" \
		'' 'Ctrl-C ends the server; "make clean-demo" removes what it served.' ''
	exec "$$bin/reviewsd" serve --data demo/data --listen '$(LISTEN)' --admin '$(ADMIN)'

clean-demo:
	rm -rf demo
