package proof_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// plant writes patched copies of the sources into dir, and the overlay that
// names them.
func plant(t *testing.T, dir string) (overlay string) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	text := map[string]string{}
	for _, m := range slices.Concat(helpers, mutants) {
		if text[m.file] == "" {
			b, err := os.ReadFile(filepath.Join(root, m.file))
			if err != nil {
				t.Fatal(err)
			}
			text[m.file] = regexp.MustCompile(`(?m)^package \w+$`).ReplaceAllString(string(b), "$0\n\nimport \"firebreak/internal/planted\"")
		}
		if n := strings.Count(text[m.file], m.old); n != 1 {
			t.Errorf("mutant %q: %d places in %s where it can be planted; the source has changed, so must the mutant", m.name, n, m.file)
			continue
		}
		text[m.file] = strings.Replace(text[m.file], m.old, m.new, 1)
	}
	lets := map[string]bool{}
	for _, m := range mutants {
		lets[m.name] = lets[m.name] || strings.Contains(m.new, "planted.Whole(")
	}
	text["internal/planted/planted.go"] = plantedSource + fmt.Sprintf("\nvar lets = %#v\n", lets)
	text["policy/whole.go"] = wholeSource
	replace := map[string]string{}
	for name, source := range text {
		copied := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(copied, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, name)] = copied
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}

// hunt is what a process with mutants is told to do, and what it found.
type hunt struct {
	Mutant   string // "" for none: then nothing may be found
	Crowded  bool   // it shows where many people are known
	Directed bool   // it shows where a directive is at work
	Listed   bool   // it shows where there are rosters
	Shrink   bool   // and tell the smallest story of it

	Found string // the question, or where a canary stood; "" when nothing was found
	Story string
	Asked int // questions of both houses
	Took  time.Duration

	Secrets, Others, Before int // events and earlier questions that are left of the story when shrunk
}

// shrunk is the mutant whose story must shrink to one sensitive event and one
// question.
const shrunk = "403 for withheld"

// TestMutants: each leak that is planted is found. All mutants are in one
// binary, in the sources that the compiler is given in place of the product's,
// which knows nothing of it; the environment says which one is awake.
func TestMutants(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	binary := filepath.Join(dir, "proof.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", plant(t, dir), "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the mutants do not compile: %v\n%s", err, out)
	}
	hunts := []hunt{{}}
	for _, m := range mutants {
		if !slices.ContainsFunc(hunts, func(h hunt) bool { return h.Mutant == m.name }) {
			hunts = append(hunts, hunt{Mutant: m.name, Crowded: crowded[m.name], Directed: directed[m.name], Listed: listed[m.name], Shrink: m.name == shrunk})
		}
	}
	n := runtime.GOMAXPROCS(0)
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			var mine []hunt
			for k := i; k < len(hunts); k += n {
				mine = append(mine, hunts[k])
			}
			found, err := send(t.Context(), binary, filepath.Join(dir, fmt.Sprint("hunts", i)), mine)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			for _, h := range found {
				switch {
				case h.Mutant == "" && h.Found != "":
					t.Errorf("without a leak awake the mutants leak: %s", h.Story)
				case h.Mutant == "":
				case h.Found == "":
					t.Errorf("the mutant %q survives %d questions", h.Mutant, h.Asked)
				case h.Shrink && (h.Secrets != 1 || h.Others > 1 || h.Before > 0):
					t.Errorf("the story of %q is not shrunk to one sensitive event and one question: %d of them, %d harmless ones and %d earlier questions are left\n%s", h.Mutant, h.Secrets, h.Others, h.Before, h.Story)
				default:
					t.Logf("%-42s %5d questions %5.1fs  %.150s", h.Mutant, h.Asked, h.Took.Seconds(), h.Found)
				}
			}
		})
	}
	all.Wait()
}

// send runs the mutants' binary on some hunts.
func send(ctx context.Context, binary, file string, hunts []hunt) (found []hunt, err error) {
	b, err := json.Marshal(hunts)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return nil, err
	}
	run := exec.CommandContext(ctx, binary, "-test.run", "^TestHunt$", "-test.count=1")
	run.Env = append(os.Environ(), "FIREBREAK_HUNTS="+file)
	if out, err := run.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the hunt did not end well: %w\n%s", err, out)
	}
	if b, err = os.ReadFile(file); err != nil {
		return nil, err
	}
	return found, json.Unmarshal(b, &found)
}

// TestHunt does what TestMutants sends it for, in a process of its own; there is
// nothing to do in others.
func TestHunt(t *testing.T) {
	file := os.Getenv("FIREBREAK_HUNTS")
	if file == "" {
		return
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var hunts []hunt
	if err := json.Unmarshal(b, &hunts); err != nil {
		t.Fatal(err)
	}
	for i := range hunts {
		t.Run(hunts[i].Mutant, func(t *testing.T) {
			t.Setenv("FIREBREAK_MUTANT", hunts[i].Mutant)
			hunts[i].run(t)
		})
	}
	if b, err = json.Marshal(hunts); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run is the proof until it finds something, seed after seed.
func (h *hunt) run(t *testing.T) {
	start := time.Now()
	defer func() { h.Took = time.Since(start) }()
	ended := func(x *trial) bool {
		x.close()
		h.Asked += x.asked
		if f := x.failure; f != nil {
			if h.Shrink {
				f = f.shrink(t)
				for _, e := range f.events {
					if e.secret() || e.mixed() {
						h.Secrets++
					} else {
						h.Others++
					}
				}
				h.Before = len(f.before)
			}
			h.Found, h.Story = f.ask.String(), f.String()
		}
		for _, house := range x.house {
			if s := canaryIn(house.logged.Bytes()); s != "" && h.Found == "" {
				h.Found, h.Story = "the log holds "+s, s
			}
		}
		return h.Found != ""
	}
	if h.Crowded {
		ended(crowd(t))
		return
	}
	if h.Directed || h.Mutant == "" {
		for i, d := range directives {
			for _, denied := range []bool{true, false} {
				x := maskedTrial(t, uint64(i), d, denied, [2]string{})
				if x.run(160); ended(x) {
					return
				}
			}
		}
	}
	if h.Directed {
		return
	}
	if h.Listed {
		roster := mixed[slices.IndexFunc(mixed, func(x form) bool { return x.name == "roster" })]
		for seed := range uint64(20) {
			x := newTrial(t, alone(seed, roster, false), [2]side{without, with}, [2]string{})
			if x.run(0); ended(x) {
				return
			}
		}
		return
	}
	seeds, questions := 30, 600
	switch {
	case h.Mutant == "":
		seeds = 3
	case launched[h.Mutant]:
		questions = 0
	}
	for seed := range uint64(seeds) {
		x := newTrial(t, create(seed, 0), [2]side{without, with}, [2]string{})
		x.deaf = h.Mutant != "" && !notified[h.Mutant]
		if x.run(questions); ended(x) {
			return
		}
	}
}
