package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite what the scripts in testdata expect")

// Each file of testdata is a command and what it says. Its first lines tell
// what is shown; a line "gzip FILE" packs a file, "$ firebreak ..." is the
// command. The files lie in its folder; one named stdin is its input. What it
// writes and its exit status, when not 0, are the files stdout, stderr and
// status. Where other packages say what lines look like, the file "stdout has"
// stands for stdout: each line of the output holds its line of the file.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts in testdata")
	}
	for _, path := range scripts {
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { script(t, path) })
	}
}

func script(t *testing.T, path string) {
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	var in []byte
	want := map[string]string{}
	var files []txtar.File
	var has []string
	for _, f := range a.Files {
		switch f.Name {
		case "stdout", "stderr", "status":
			want[f.Name] = string(f.Data)
			continue
		case "stdout has":
			has = strings.Split(strings.TrimSuffix(string(f.Data), "\n"), "\n")
			files = append(files, f)
			continue
		case "stdin":
			in = f.Data
		}
		files = append(files, f)
		if err := os.WriteFile(f.Name, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ran := false
	var stdout, stderr bytes.Buffer
	status := 0
	for line := range strings.Lines(string(a.Comment)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[0] == "gzip":
			pack(t, words[1])
		case len(words) > 1 && words[0] == "$" && words[1] == "firebreak":
			ran = true
			status = run(t.Context(), &env{bytes.NewReader(in), &stdout, &stderr}, words[2:])
		}
	}
	if !ran {
		t.Fatal("the script has no command")
	}
	got := map[string]string{"stdout": stdout.String(), "stderr": stderr.String()}
	if has != nil {
		lines := strings.Split(strings.TrimSuffix(got["stdout"], "\n"), "\n")
		got["stdout"] = ""
		for i := range max(len(has), len(lines)) {
			if i >= len(has) || i >= len(lines) || !strings.Contains(lines[i], has[i]) {
				t.Fatalf("line %d of the output is not as expected:\n%s", i+1, strings.Join(lines, "\n"))
			}
		}
	}
	if status != 0 {
		got["status"] = strconv.Itoa(status) + "\n"
	}
	if *update {
		a.Files = files
		for _, name := range []string{"status", "stderr", "stdout"} {
			if got[name] != "" {
				a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(got[name])})
			}
		}
		if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, name := range []string{"status", "stderr", "stdout"} {
		if got[name] != want[name] {
			t.Errorf("%s is\n%s\nwant\n%s", name, got[name], want[name])
		}
	}
}

// pack makes FILE.gz of FILE.
func pack(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name+".gz", packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
