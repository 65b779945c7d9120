package viewer

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// usedKeys are the catalogue keys that templates and Go files name.
func usedKeys(t *testing.T) map[string]bool {
	t.Helper()
	used := map[string]bool{}
	inTemplate := regexp.MustCompile(`\bt "([^"]+)"|"((?:appointments|medications)\.[a-z]+)"`)
	err := fs.WalkDir(pageFiles, "pages", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(pageFiles, path)
		for _, m := range inTemplate.FindAllStringSubmatch(string(b), -1) {
			used[m[1]+m[2]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	read, err := filepath.Glob("clinical/*.go")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, read...)
	inGo := regexp.MustCompile(`(?:say|mark|wrong)\((?:"[a-z]+", )?"([a-z0-9.-]+)"`)
	quoted := regexp.MustCompile(`"((?:find\.wrong|course|flag|kind|number|class|place)\.[a-z-]+)"`)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, re := range []*regexp.Regexp{inGo, quoted} {
			for _, m := range re.FindAllStringSubmatch(string(b), -1) {
				if !strings.HasSuffix(m[1], ".") {
					used[m[1]] = true
				}
			}
		}
	}
	return used
}
