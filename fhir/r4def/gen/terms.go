package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// aside are the members of value sets and code systems that say nothing of
// codes: the narrative, who to write to, how far HL7 has come with it, and what
// only that refers to.
var aside = []string{"text", "meta", "contact", "extension", "contained"}

// terms writes all value sets and code systems of the examples package, each an
// entry of its own so that one is read without the others: its name is the type
// and id, its comment the address and version. An address stands once.
func (g *generator) terms(name string) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestCompression) })
	seen := map[string]bool{}
	for _, typ := range []string{"CodeSystem", "ValueSet"} {
		for _, file := range g.files(typ + "-") {
			var r map[string]jsontext.Value
			text, err := os.ReadFile(file)
			check(err)
			check(json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &r))
			for _, member := range aside {
				delete(r, member)
			}
			var head struct {
				ResourceType string `json:"resourceType"`
				ID           string `json:"id"`
				URL          string `json:"url"`
				Version      string `json:"version"`
			}
			text, err = json.Marshal(r, json.Deterministic(true))
			check(err)
			check(json.Unmarshal(text, &head))
			if head.ResourceType != typ || seen[typ+head.URL] || head.URL == "" {
				log.Fatalf("gen: %s is no %s, or its address stands twice", file, typ)
			}
			seen[typ+head.URL] = true
			out, err := w.CreateHeader(&zip.FileHeader{Name: typ + "/" + head.ID, Comment: head.URL + "|" + head.Version, Method: zip.Deflate})
			check(err)
			_, err = out.Write(text)
			check(err)
		}
	}
	check(w.Close())
	check(os.WriteFile(name, b.Bytes(), 0o644))
	log.Printf("%s: %d value sets and code systems, %d bytes", filepath.Base(name), len(seen), b.Len())
}
