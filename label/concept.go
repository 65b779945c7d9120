package label

import (
	"slices"
	"strconv"
	"strings"

	"firebreak/fhir"
)

// concept reads a CodeableConcept or Coding: each code by its system, each name
// by its words, a local code as a word.
func (j *judge) concept(name string, v fhir.Node, in where) {
	raw := v.Raw()
	var tmp [1024]byte
	key := append(append(tmp[:0], byte(in), byte(in>>8)), raw...)
	found, ok := j.rules.concepts.get(key)
	if !ok {
		found = j.rules.concept(v, in)
		if len(raw) <= 800 {
			j.rules.concepts.put(key, found)
		}
	}
	j.take(found, "")
	if len(j.path) == 1 && isAbout(j.typ, name) {
		j.named = true
		j.known = j.known || found.harmless
		j.neutral = j.neutral || found.neutral
		if !found.harmless && j.words == "" {
			j.words = nameOf(v)
		}
	}
	j.extensions(v)
}

func isAbout(typ, name string) bool {
	return slices.Contains(about[typ], name)
}

// nameOf is what a concept is called, for the reason that it is unclassified.
func nameOf(v fhir.Node) string {
	if t := v.Get("text").Text(); t != "" {
		return t
	}
	for c := range v.All("coding") {
		return strings.TrimSpace(c.Get("code").Text() + " " + c.Get("display").Text())
	}
	return v.Get("code").Text()
}

// concept judges a concept; harmless means that at least one of its codings, or
// its text, is something the rules are able to judge.
func (r *Rules) concept(v fhir.Node, in where) verdict {
	var out verdict
	text := v.Get("text").Text()
	if text != "" {
		t := r.match.judge(text, in)
		add(&out, t, ".text")
		out.harmless = out.harmless || t.harmless
		out.neutral = out.neutral || t.neutral
		out.words = out.words || t.words
	}
	codings := v.Get("coding")
	if codings.IsZero() {
		if v.Get("code").Kind() == '"' {
			r.coding(v, in, "", &out, out.words)
		}
		return out
	}
	i := 0
	for c := range codings.Items() {
		r.coding(c, in, ".coding["+strconv.Itoa(i)+"]", &out, out.words)
		i++
	}
	return out
}

func (r *Rules) coding(c fhir.Node, in where, below string, out *verdict, words bool) {
	code, display := c.Get("code").Text(), c.Get("display").Text()
	system := c.Get("system").Text()
	kind := r.codes.kind(system)
	guessed := ""
	if kind == "" {
		guessed = shape(code, system, in)
	}
	if k := kind + guessed; k != "" && code != "" {
		for _, h := range r.codes.judge(k, code) {
			out.add(hit{rule: -1, label: h.label, name: h.rule, below: below + ".code", evidence: code})
		}
	}
	if display != "" {
		d := r.match.judge(display, in)
		add(out, d, below+".display")
		words = words || d.words
		if kind == "" {
			out.harmless = out.harmless || d.harmless
			out.neutral = out.neutral || d.neutral
		}
	}
	if k := kind + guessed; k == "loinc" && r.codes.known[strings.TrimSpace(code)] {
		out.harmless = true
	}
	switch kind {
	case "icd-10", "icd-9", "icd-o", "icd-10-pcs", "cvx", "atc", "hcpcs", "ucum", "hl7":
		out.harmless = true // judged whole by the hierarchy, or closed
	case "loinc", "snomed", "rxnorm", "ndc", "cpt":
		if words {
			out.harmless = true // public names say what they mean
		}
	default:
		if guessed == "icd-10" {
			out.harmless = true
		}
		if code != "" && !loincForm(code) {
			w := r.match.judge(code, in)
			add(out, w, below+".code")
			out.harmless = out.harmless || w.harmless && len(display) == 0
			out.neutral = out.neutral || w.neutral && len(display) == 0
		}
	}
}

// add takes the hits of v, found at below, into out.
func add(out *verdict, v verdict, below string) {
	for _, h := range v.hits {
		h.below = below
		out.add(h)
	}
}

func (v *verdict) add(h hit) { v.hits = append(v.hits, h) }
