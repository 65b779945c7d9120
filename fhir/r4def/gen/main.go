// Gen reduces the official R4 definitions to what the gateway needs.
//
// It reads two unpacked npm packages, both CC0-1.0, got with
//
//	npm pack hl7.fhir.r4.examples@4.0.1
//	npm pack hl7.fhir.r4.expansions@4.0.1
//
// and writes r4.json.gz (tables, embedded), terms.zip (value sets and code systems,
// embedded) and testdata/examples.ndjson.gz (the official examples, white space
// removed, every literal as published). The output depends on the input only.
package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"firebreak/fhir/r4def/internal/table"
)

func main() {
	examples := flag.String("examples", "", "folder of hl7.fhir.r4.examples 4.0.1, unpacked (.../package)")
	expansions := flag.String("expansions", "", "folder of hl7.fhir.r4.expansions 4.0.1, unpacked (.../package)")
	out := flag.String("out", ".", "folder to write to")
	flag.Parse()
	log.SetFlags(0)
	if *examples == "" || *expansions == "" {
		log.Fatal("gen: -examples and -expansions are needed; the package comment says where from")
	}
	g := &generator{examples: *examples, expansions: *expansions, sets: map[string]int{}}
	g.types()
	g.searchParameters()
	g.compartments()
	b, err := json.Marshal(g.t)
	check(err)
	write(filepath.Join(*out, "r4.json.gz"), b)
	g.terms(filepath.Join(*out, "terms.zip"))
	write(filepath.Join(*out, "testdata", "examples.ndjson.gz"), g.exampleLines())
}

func check(err error) {
	if err != nil {
		log.Fatal("gen: ", err)
	}
}

func write(name string, b []byte) {
	check(os.MkdirAll(filepath.Dir(name), 0o755))
	var z bytes.Buffer
	w, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
	check(err)
	_, err = w.Write(b)
	check(err)
	check(w.Close())
	check(os.WriteFile(name, z.Bytes(), 0o644))
	log.Printf("%s: %d bytes, %d gzipped", name, len(b), z.Len())
}

type generator struct {
	examples, expansions string
	t                    table.Tables
	sets                 map[string]int // value set url to 1 + index into t.Sets; 0 has no codes to check
}

// files are the JSON files of the examples package whose names begin so, sorted.
func (g *generator) files(prefix string) []string {
	names, err := filepath.Glob(filepath.Join(g.examples, prefix+"*.json"))
	check(err)
	slices.Sort(names)
	return names
}

func read(name string, v any) {
	b, err := os.ReadFile(name)
	check(err)
	if err := json.Unmarshal(b, v); err != nil {
		log.Fatalf("gen: %s: %v", name, err)
	}
}

type structure struct {
	Type, Kind, Derivation string
	Abstract               bool
	Snapshot               struct {
		Element []element
	}
}

type element struct {
	Path, Max, ContentReference string
	Min                         int
	IsSummary, IsModifier       bool
	Type                        []struct {
		Code          string
		TargetProfile []string
		Extension     []struct {
			URL         string
			ValueURL    string
			ValueString string
		}
	}
	Binding    *struct{ Strength, ValueSet string }
	Constraint []struct{ Key, Severity, Human, Expression string }
}

const canonical = "http://hl7.org/fhir/StructureDefinition/"

func (g *generator) types() {
	for _, name := range g.files("StructureDefinition-") {
		var s structure
		read(name, &s)
		if s.Derivation != "specialization" && s.Type != "Element" && s.Type != "Resource" || filepath.Base(name) != "StructureDefinition-"+s.Type+".json" {
			continue
		}
		switch s.Kind {
		case "primitive-type":
			g.primitive(s)
		case "complex-type", "resource":
			g.complex(s)
		}
	}
	slices.SortFunc(g.t.Types, func(a, b table.Type) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(g.t.Primitives, func(a, b table.Primitive) int { return cmp.Compare(a.Name, b.Name) })
}

func (g *generator) primitive(s structure) {
	p := table.Primitive{Name: s.Type}
	for _, e := range s.Snapshot.Element {
		if e.Path != s.Type+".value" {
			continue
		}
		for _, t := range e.Type {
			for _, x := range t.Extension {
				if strings.HasSuffix(x.URL, "/regex") {
					p.Regex = x.ValueString
				}
			}
		}
	}
	g.t.Primitives = append(g.t.Primitives, p)
}

func (g *generator) complex(s structure) {
	kind := "c"
	if s.Kind == "resource" {
		kind = "r"
	}
	if s.Abstract {
		kind = "a"
	}
	types := map[string]*table.Type{s.Type: {Name: s.Type, Kind: kind}}
	order := []string{s.Type}
	for _, e := range s.Snapshot.Element {
		i := strings.LastIndexByte(e.Path, '.')
		if i < 0 {
			types[s.Type].Rules = g.rules(e)
			continue
		}
		parent, name := e.Path[:i], e.Path[i+1:]
		t := types[parent]
		if t == nil {
			t = &table.Type{Name: parent, Kind: "b"}
			types[parent] = t
			order = append(order, parent)
		}
		x := table.Element{Name: strings.TrimSuffix(name, "[x]"), Choice: strings.HasSuffix(name, "[x]"), Min: e.Min, Summary: e.IsSummary, Modifier: e.IsModifier}
		if e.Max != "*" {
			n, err := strconv.Atoi(e.Max)
			check(err)
			x.Max = n
		} else {
			x.Max = -1
		}
		if e.ContentReference != "" {
			x.Types = []table.Ref{{Type: strings.TrimPrefix(e.ContentReference, "#")}}
		}
		for _, tc := range e.Type {
			r := table.Ref{Type: tc.Code}
			for _, ext := range tc.Extension {
				if strings.HasSuffix(ext.URL, "/structuredefinition-fhir-type") {
					r.Type = ext.ValueURL
				}
			}
			switch r.Type {
			case "BackboneElement", "Element":
				r.Type = e.Path
			}
			if r.Type == "Reference" {
				for _, p := range tc.TargetProfile {
					if target := strings.TrimPrefix(p, canonical); target != "Resource" {
						r.Targets = append(r.Targets, target)
					}
				}
			}
			x.Types = append(x.Types, r)
		}
		if e.Binding != nil && e.Binding.Strength == "required" {
			x.Codes = g.valueSet(e.Binding.ValueSet)
		}
		x.Rules = g.rules(e)
		t.Elements = append(t.Elements, x)
	}
	for _, name := range order {
		g.t.Types = append(g.t.Types, *types[name])
	}
}

// structural are the invariants that r4def.Check judges without FHIRPath, and
// dom-6, which advises a narrative in every resource.
var structural = []string{"dom-2", "dom-3", "dom-4", "dom-5", "dom-6", "ele-1", "ext-1", "ref-1", "txt-1", "txt-2"}

// rules gives the indexes of an element's invariants. An expression is the same
// rule wherever it stands.
func (g *generator) rules(e element) (all []int) {
	for _, c := range e.Constraint {
		if slices.Contains(structural, c.Key) {
			continue
		}
		rule := table.Invariant{Key: c.Key, Human: c.Human, Expression: c.Expression, Warning: c.Severity == "warning"}
		i := slices.Index(g.t.Invariants, rule)
		if i < 0 {
			i = len(g.t.Invariants)
			g.t.Invariants = append(g.t.Invariants, rule)
		}
		all = append(all, i)
	}
	return all
}

// valueSet gives 1 + the index of a value set's codes, or 0 when it has none
// that can be listed (languages, media types).
func (g *generator) valueSet(url string) int {
	url, _, _ = strings.Cut(url, "|")
	if n, known := g.sets[url]; known {
		return n
	}
	g.sets[url] = 0
	if url == "http://hl7.org/fhir/ValueSet/ucum-units" {
		log.Printf("%s is a grammar: not checked", url)
		return 0
	}
	name := filepath.Join(g.expansions, "ValueSet-"+url[strings.LastIndexByte(url, '/')+1:]+".json")
	if _, err := os.Stat(name); err != nil {
		log.Printf("no expansion of %s: not checked", url)
		return 0
	}
	var v struct {
		URL       string
		Expansion struct{ Contains []contained }
	}
	read(name, &v)
	if v.URL != url || len(v.Expansion.Contains) == 0 {
		log.Printf("no codes in the expansion of %s: not checked", url)
		return 0
	}
	by := map[string][]string{}
	gather(by, v.Expansion.Contains)
	var set []table.Codes
	for system, codes := range by {
		slices.Sort(codes)
		set = append(set, table.Codes{System: system, Codes: strings.Join(slices.Compact(codes), " ")})
		for _, c := range codes {
			if strings.Contains(c, " ") {
				log.Fatalf("gen: a code of %s holds a space", url)
			}
		}
	}
	slices.SortFunc(set, func(a, b table.Codes) int { return cmp.Compare(a.System, b.System) })
	g.t.Sets = append(g.t.Sets, set)
	g.sets[url] = len(g.t.Sets)
	return len(g.t.Sets)
}

type contained struct {
	System, Code string
	Abstract     bool
	Contains     []contained
}

func gather(by map[string][]string, list []contained) {
	for _, c := range list {
		if c.Code != "" && !c.Abstract {
			by[c.System] = append(by[c.System], c.Code)
		}
		gather(by, c.Contains)
	}
}

func (g *generator) searchParameters() {
	for _, name := range g.files("SearchParameter-") {
		var p struct {
			ID, URL, Code, Type, Expression string
			Base, Target                    []string
			Component                       []struct{ Definition, Expression string }
		}
		read(name, &p)
		id := strings.TrimPrefix(p.URL, "http://hl7.org/fhir/SearchParameter/")
		if id == p.URL || strings.HasPrefix(p.ID, "example") || p.ID != id {
			continue
		}
		s := table.Search{ID: id, Code: p.Code, Type: p.Type, Base: p.Base, Expression: p.Expression, Target: p.Target}
		for _, c := range p.Component {
			s.Component = append(s.Component, table.Component{
				ID:         strings.TrimPrefix(c.Definition, "http://hl7.org/fhir/SearchParameter/"),
				Expression: c.Expression,
			})
		}
		slices.Sort(s.Base)
		slices.Sort(s.Target)
		g.t.Search = append(g.t.Search, s)
	}
	slices.SortFunc(g.t.Search, func(a, b table.Search) int { return cmp.Compare(a.ID, b.ID) })
}

func (g *generator) compartments() {
	g.t.Compartments = map[string]map[string][]string{}
	for _, name := range g.files("CompartmentDefinition-") {
		var c struct {
			Code, ID string
			Resource []struct {
				Code  string
				Param []string
			}
		}
		read(name, &c)
		if c.ID == "example" {
			continue
		}
		types := map[string][]string{}
		for _, r := range c.Resource {
			if len(r.Param) > 0 {
				types[r.Code] = r.Param
			}
		}
		g.t.Compartments[c.Code] = types
	}
}

// definitional types are left out of the examples: what the gateway moves is clinical.
var definitional = []string{
	"CapabilityStatement", "CodeSystem", "CompartmentDefinition", "ConceptMap", "ImplementationGuide",
	"NamingSystem", "OperationDefinition", "SearchParameter", "StructureDefinition", "ValueSet",
}

func (g *generator) exampleLines() []byte {
	var all bytes.Buffer
	n := 0
	for _, name := range g.files("") {
		b, err := os.ReadFile(name)
		check(err)
		var r struct{ ResourceType string }
		check(json.Unmarshal(b, &r))
		if r.ResourceType == "" || slices.Contains(definitional, r.ResourceType) || len(b) > 400_000 {
			continue
		}
		v := jsontext.Value(bytes.TrimPrefix(b, []byte("\ufeff")))
		check(v.Compact(jsontext.PreserveRawStrings(true)))
		all.Write(v)
		all.WriteByte('\n')
		n++
	}
	fmt.Fprintf(os.Stderr, "%d examples\n", n)
	return all.Bytes()
}
