# make        static binary in bin/
# make demo   everything on an embedded database; open the address it prints
# make test   sets up what it needs, then runs every test; fails, never skips
# make bench  figures as ratios from one run     make fuzz  every parser, FUZZTIME each
# make proof  the no-leak proof alone; PROOF=1000x2000 for more of it
SHELL := /bin/bash
GO ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 60s
DEMO_DATA ?= demo-data
DEMO_FLAGS ?=
STATICCHECK := .build/staticcheck

.PHONY: all build demo test unit proof browser lint bench fuzz setup clean
all: build

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/firebreak ./cmd/firebreak

demo: build
	bin/firebreak demo --data $(DEMO_DATA) $(DEMO_FLAGS)

test: setup lint unit browser

# The tests that take whole corpora or long worlds, most of them through one
# goroutine, and those that kill processes run without the race detector, which
# makes them many times slower, and so does the no-leak proof; the rest run with it.
WHOLE := TestWholeCorpus|TestWholeStream|TestTheCorpusLeavesAsItCame|TestAnyRequest|TestPages|TestGuide|TestScore|TestCDC|TestMustSupport|TestClinicalRecall|$\
	TestCorpus|TestWhatIsRememberedIsWhatIsMapped|TestClinicalDocuments|TestRealRecordsCanBeRead|TestEverythingIsTakenAndFollowed|TestFaultsLoseAndDoubleNothing|$\
	TestEachLetterArrivesOnceAndInOrder|TestEachMessageArrivesOnceAndInOrder|TestMostOfAServerDoesNotVanish|TestASecondFirebreakIsFollowed|TestASecondFirebreakHasEachLetterOnce|$\
	TestXMLLosesNothing|TestAppliedAgain|TestAReplayTakesBackWhatOnlyTheOldDialectMade|TestADocumentIsReplaced|$\
	TestNegotiation|TestCompartments|TestSearchOverTypes|TestSearchByGetAndPost|TestCapabilityStatementIsTrue|TestResultParameters|TestWhatIsPurgedIsJudgedAsBefore|TestMovesInAnyOrderEndTheSame|TestPartsInAnyOrderEndTheSame|TestConformance|$\
	TestBulkExport|TestGroups|TestGroupsTellNothing|TestGroupOfTenThousand|TestStreamGoesInOnceAndUnmixed|TestKilledAtAnyMomentNothingAcknowledgedIsLost|TestPullsFromAnotherThroughKills|TestKilledBetweenLookingAndCreating|$\
	TestPagesBringNothingElse|TestWithheldChangesOfManyPatients|TestTheNewestValueIsOneOnAllPages|TestSearchesFindWhatReadingSays|TestALargeDocumentTakesTimeByItsSize|$\
	TestRequired|TestAnyOrderEndsInTheSameState|TestEverything|TestItTurnsOutLater|FuzzMap|TestPushKeepsTheCorpus|TestDefinitionsAreServed|TestBrokenTextIsJudgedWhole|$\
	TestMutatedExamplesFail|TestCorpusPasses
WHOLE_IN = $$(git grep -lE 'func ($(WHOLE))\(' -- '*_test.go' | xargs -n1 dirname | sort -u | sed 's,^,./,')

# Worlds of the no-leak proof, and questions in each: of every run, and of make fuzz.
PROOF ?= 200x2000
MOREPROOF ?= 1000x2000

# Three packages at a time: some wait for processes that they kill. A gateway keeps
# its process within its own memory; a test beside it holds a whole record besides,
# which would be collected all the time.
unit: export GOGC = 200
unit: export GOMEMLIMIT = 1GiB
unit:
	$(GO) test -race -shuffle=on -p 3 -timeout 20m -skip '^($(WHOLE))$$' $$($(GO) list ./... | grep -v /proof$$)
	CGO_ENABLED=0 $(GO) test -p 3 -timeout 20m -run '^($(WHOLE))$$' $(WHOLE_IN)
	$(MAKE) --no-print-directory proof

proof:
	CGO_ENABLED=0 FIREBREAK_PROOF=$(PROOF) $(GO) test -timeout 2h ./proof

browser: build setup
	cd browser && npm test

lint: $(STATICCHECK)
	@unformatted=$$(git ls-files '*.go' | xargs gofmt -l); test -z "$$unformatted" || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(STATICCHECK) ./...

# staticcheck is built from its own pinned module, so that the product's go.mod stays the product's.
$(STATICCHECK): tools/go.mod tools/go.sum
	cd tools && $(GO) build -o ../$(STATICCHECK) honnef.co/go/tools/cmd/staticcheck

setup: $(STATICCHECK)
	@tools/setup

bench: build
	$(GO) test -count=1 -v -run '^TestHeldOut$$' ./label
	$(GO) run ./bench

fuzz:
	@tools/fuzz $(FUZZTIME)
	$(MAKE) --no-print-directory proof PROOF=$(MOREPROOF)
	FIREBREAK_PROOF_DB=postgres $(MAKE) --no-print-directory proof PROOF=50x1000

clean:
	rm -rf bin .build browser/node_modules
