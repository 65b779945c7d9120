package firebreak_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "firebreak/"

// testOnly may be imported by tests alone.
var testOnly = []string{"access/accesstest", "demo/demotest", "internal/canary", "internal/corpus", "internal/pgtest", "internal/score", "internal/twin"}

// The house is what docs/architecture.md says: each package has a row, rows
// come after the rows they import, and nothing is imported that the row does
// not name.
func TestImportsAreTheTable(t *testing.T) {
	order, allowed := table(t)
	seen := map[string]bool{}
	for name, imports := range packages(t) {
		seen[name] = true
		if slices.Contains(testOnly, name) {
			continue
		}
		row := slices.Index(order, name)
		if row < 0 {
			t.Errorf("%s has no row in docs/architecture.md", name)
			continue
		}
		for _, other := range imports {
			at := slices.Index(order, other)
			switch {
			case slices.Contains(testOnly, other):
				t.Errorf("%s imports %s outside its tests", name, other)
			case at > row:
				t.Errorf("%s imports %s, which stands below it", name, other)
			case !slices.Contains(allowed[name], other) && !slices.Contains(allowed[name], "*"):
				t.Errorf("%s imports %s, which its row does not name", name, other)
			}
		}
		for _, other := range allowed[name] {
			if other != "*" && !slices.Contains(imports, other) {
				t.Errorf("the row of %s names %s, which it does not import", name, other)
			}
		}
	}
	for _, name := range order {
		if !seen[name] {
			t.Errorf("docs/architecture.md has a row for %s, which is no package", name)
		}
	}
}

var ticked = regexp.MustCompile("`([^`]+)`")

func table(t *testing.T) (order []string, allowed map[string][]string) {
	f, err := os.Open("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	allowed = map[string][]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		cells := strings.Split(lines.Text(), "|")
		if len(cells) != 5 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		name := ticked.FindStringSubmatch(cells[1])[1]
		order = append(order, name)
		for _, m := range ticked.FindAllStringSubmatch(cells[3], -1) {
			allowed[name] = append(allowed[name], m[1])
		}
		if strings.TrimSpace(cells[3]) == "all" {
			allowed[name] = []string{"*"}
		}
	}
	if len(order) < 10 {
		t.Fatalf("found %d rows in docs/architecture.md", len(order))
	}
	return order, allowed
}

// packages are ours, without the module's name, and what their non-test files import of ours.
func packages(t *testing.T) map[string][]string {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for d := json.NewDecoder(out); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name, ok := strings.CutPrefix(p.ImportPath, module)
		if !ok {
			continue // this test's own package
		}
		var ours []string
		for _, i := range p.Imports {
			if o, ok := strings.CutPrefix(i, module); ok {
				ours = append(ours, o)
			}
		}
		all[name] = ours
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return all
}
