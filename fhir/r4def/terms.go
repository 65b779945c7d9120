package r4def

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"io"
	"strings"
	"sync"

	"firebreak/fhir"
)

//go:embed terms.zip
var terms []byte

// Term is a value set or code system that R4 was published with. Only what it
// is called is in memory: the resource is unpacked each time it is asked for.
type Term struct {
	Ref     fhir.Ref // ValueSet/administrative-gender
	URL     string   // its canonical address; of some tables of v2 with a version of v2 in it
	Version string   // "4.0.1", of v2 and v3 their own; may be empty
	file    *zip.File
}

// Resource is the definition as published, without narrative, contacts and HL7's
// own extensions of the resource.
func (t Term) Resource() (fhir.Resource, error) {
	r, err := t.file.Open()
	if err != nil {
		return fhir.Resource{}, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return fhir.Resource{}, err
	}
	return fhir.Parse(b)
}

type catalogue struct {
	all   []Term
	byURL map[fhir.Ref]int // type and address
	byRef map[fhir.Ref]int
}

var termsOf = sync.OnceValue(func() catalogue {
	z, err := zip.NewReader(bytes.NewReader(terms), int64(len(terms)))
	if err != nil {
		panic("r4def: the embedded value sets are broken: " + err.Error())
	}
	c := catalogue{byURL: map[fhir.Ref]int{}, byRef: map[fhir.Ref]int{}}
	for i, f := range z.File {
		typ, id, _ := strings.Cut(f.Name, "/")
		at := strings.LastIndexByte(f.Comment, '|') // the address may have one too
		url, version := f.Comment[:at], f.Comment[at+1:]
		t := Term{fhir.Ref{Type: typ, ID: id}, url, version, f}
		c.all = append(c.all, t)
		c.byURL[fhir.Ref{Type: typ, ID: url}], c.byRef[t.Ref] = i, i
	}
	return c
})

// Terms are all value sets and code systems, sorted by type, then id. The caller
// must not change them.
func Terms() []Term { return termsOf().all }

// TermOf is the ValueSet or CodeSystem of a Term's URL.
func TermOf(typ, url string) (Term, bool) {
	c := termsOf()
	i, ok := c.byURL[fhir.Ref{Type: typ, ID: url}]
	if !ok {
		return Term{}, false
	}
	return c.all[i], true
}

// TermAt is the ValueSet or CodeSystem of an id.
func TermAt(ref fhir.Ref) (Term, bool) {
	c := termsOf()
	i, ok := c.byRef[ref]
	if !ok {
		return Term{}, false
	}
	return c.all[i], true
}
