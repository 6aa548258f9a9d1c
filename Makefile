# What there is to run. A target that takes more than a command is a script in .ci with the target's name.
.DEFAULT_GOAL := help
SHELL := bash

# SQLite, which is C turned into Go, the ciphers of the standard library and the reader of QR codes share nothing
# between goroutines by themselves. Watching each of their memory accesses is most of the work, so they are left out.
# exsync is left out for its own race: docs/whatsmeow.md, "Other hazards".
unwatched := modernc.org/sqlite/lib modernc.org/libc crypto/pbkdf2 crypto/internal/fips140/... github.com/makiuchi-d/gozxing/... \
	go.mau.fi/util/exsync

scripts := files modules lint examples stores leases crash cross fuzz bench
.PHONY: help vet test race test-386 faults stranger importer interop browser $(scripts)

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## every test of the root module
	go test -count=1 ./...

race: ## the same under the race detector, in random order (needs a C compiler)
	CGO_ENABLED=1 go test -race $(unwatched:%=-gcflags=%=-race=false) -shuffle=on -count=1 ./...

lint: ## golangci-lint on every module, and shellcheck on the scripts
vet: ## go vet
	go vet ./...

files: ## what no compiler checks: files that have to be there, and what no text may have in it
modules: ## gofmt, go.mod, go.work, and the version of whatsmeow
faults: ## every fault at every stage (go test tries a part); prints the tables anew
	WALINK_FAULTS=all go test -count=1 -run='^TestFaults$$' ./internal/faults -update

fuzz: ## each fuzz target 500 times, or FUZZ_TIME=1m
bench: ## each benchmark once; docs/performance.md has the commands for numbers that mean something
examples: ## the programs in examples, by pairing code and by QR code, as README.md says
stranger: ## walink in a module outside the tree, and the snippet of README.md
	@bash .ci/stranger/run

importer: ## each module as go get gives it, from a module proxy made of files
	WALINK_IMPORTER=1 go test -count=1 -v -timeout=20m ./internal/release

stores: ## the stores in separate modules (PostgreSQL and PgBouncer, Redis)
leases: ## programs that share sessions are killed, stopped and cut off (PostgreSQL, Redis)
crash: ## programs that write are killed, and so are their servers (PostgreSQL, Redis)
browser: ## the passkey ceremony in a real browser (Chromium)
	@bash passkey/run

interop: ## Baileys and zapo link to walinktest (Node 20)
	@bash interop/run

cross: ## every package and test compiles for Windows, macOS, FreeBSD and 32 bits
test-386: ## the tests with 32 bits (Linux on amd64)
	@case "$$(go env GOHOSTOS)/$$(go env GOHOSTARCH)" in \
	linux/amd64 | linux/386) CGO_ENABLED=0 GOARCH=386 go test -count=1 ./... ;; \
	*) echo "test-386: these tests are skipped, they need Linux on amd64" ;; \
	esac

$(scripts):
	@bash .ci/$@
