package gateway

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// The examples work, once the secret they name is there.
func TestDocumentedExample(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../docs/example")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "client-secret"), []byte("open sesame"), 0o600); err != nil {
		t.Fatal(err)
	}
	dialects := 0
	for _, name := range []string{"firebreak.json", "feeds.json"} {
		cfg, err := ReadConfig(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readSeed(cfg.Registry); err != nil {
			t.Error(err)
		}
		for _, f := range cfg.Feeds {
			if m, err := cfg.MappingFeed(f.Name); err != nil || (m.Dialect != nil) != (f.Dialect != "") {
				t.Errorf("feed %s: %v", f.Name, err)
			} else if m.Dialect != nil {
				dialects++
			}
		}
	}
	if files, _ := filepath.Glob("../docs/example/dialects/*.txt"); dialects != len(files) {
		t.Errorf("%d feeds have a dialect, and there are %d", dialects, len(files))
	}
}

// Each key has its row in the documentation, and each row its key.
func TestEveryKeyIsDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	ticked := regexp.MustCompile("`([a-zA-Z]+)`")
	for line := range strings.Lines(string(b)) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			for _, m := range ticked.FindAllStringSubmatch(cells[1], -1) {
				rows[m[1]] = true
			}
		}
	}
	for f := range reflect.TypeFor[Config]().Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if key == "" {
			continue
		}
		if !rows[key] {
			t.Errorf("docs/configuration.md has no row for %s", key)
		}
		delete(rows, key)
	}
	for key := range rows {
		t.Errorf("docs/configuration.md has a row for %s, which is no key", key)
	}
}

// The metrics that the operator reads about exist, and the other way round.
func TestEveryMetricIsDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "| `firebreak_") {
			continue
		}
		family := ""
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(strings.Split(line, "|")[1], -1) {
			name := m[1]
			if strings.HasPrefix(name, "firebreak_") {
				family = name[:len("firebreak_")+strings.Index(name[len("firebreak_"):], "_")]
			} else {
				name = family + name
			}
			documented[name] = true
		}
	}
	for _, m := range regexp.MustCompile(`"(firebreak_[a-z_]+)"`).FindAllStringSubmatch(string(code), -1) {
		if !documented[m[1]] {
			t.Errorf("docs/operating.md does not tell of %s", m[1])
		}
		delete(documented, m[1])
	}
	for name := range documented {
		t.Errorf("docs/operating.md tells of %s, which is no metric", name)
	}
}
