package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"firebreak/demo"
	"firebreak/demo/demotest"
)

var entryEnd = regexp.MustCompile(`^\{"n":(\d+),.*,"hash":"([0-9a-f]{64})"\}$`)

// The log proves itself; that its end was not cut off and made to look whole
// only the database can tell.
func TestAuditVerify(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	d := demotest.Start(t, demo.Options{Empty: true, Data: data})
	app, err := demotest.Backend(t.Context(), d.Info)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	for range 3 {
		if _, err := app.Get(t.Context(), "/Patient?identifier=1"); err != nil {
			t.Fatal(err)
		}
	}
	config := serveConfig(t, dir, data, "")
	folder := filepath.Join(data, "audit")
	expect(t, 0, "entries, the chain holds\n", "", "audit", "verify", folder) // while it runs
	d.Stop()
	expect(t, 0, "the chain holds\n", "", "audit", "verify", folder)
	expect(t, 0, "the chain holds, and so do 1 anchors in the database\n", "", "audit", "verify", "--config", config)

	// Cut the end off, and have the head file agree.
	files, err := filepath.Glob(filepath.Join(folder, "audit-*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimRight(whole, "\n\x00"), []byte("\n"))
	end := entryEnd.FindSubmatch(lines[0])
	write(t, files[0], string(lines[0])+"\n")
	head, err := os.ReadFile(filepath.Join(folder, "head"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "head"), fmt.Sprintf("%020s %s\n", end[1], end[2]))
	expect(t, 0, "1 entries, the chain holds\n", "", "audit", "verify", folder)
	expect(t, 1, "", "entries are sound, then audit: ", "audit", "verify", "--config", config)

	// One changed letter is named with its place.
	write(t, filepath.Join(folder, "head"), string(head))
	write(t, files[0], string(bytes.Replace(whole, []byte("demo-backend"), []byte("demo-backdoor"), 1)))
	expect(t, 1, "", filepath.Base(files[0])+" line 1", "audit", "verify", folder)
}
