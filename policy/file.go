package policy

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"firebreak/access"
	"firebreak/fhir"
	"firebreak/label"
)

// file is the policy as it is written; shipped.json is one, with its reasons.
type file struct {
	About        string              `json:"about"`
	Version      string              `json:"version"` // the owner's name for it
	Unclassified string              `json:"unclassified"`
	Labels       map[string]marking  `json:"labels"`
	Audiences    map[string]audience `json:"audiences"`
}

// marking is a label's code in HL7 v3-ActCode and v3-Confidentiality.
type marking struct {
	About           string `json:"about"`
	Security        string `json:"security"`
	Confidentiality string `json:"confidentiality"`
	By              string `json:"by"` // "source", "recogniser", "disclosure-directive"; empty: the rules
}

type audience struct {
	About        string               `json:"about"`
	Enabled      *bool                `json:"enabled"`
	As           string               `json:"as"` // sees what that audience sees
	Unclassified string               `json:"unclassified"`
	LabelsShown  bool                 `json:"labelsShown"`
	BreakGlass   *breakGlass          `json:"breakGlass"`
	Release      *release             `json:"release"`
	Roles        map[string]narrowing `json:"roles"`
	Worksites    map[string]narrowing `json:"worksites"`
	narrowing    `json:",inline"`
}

// narrowing is what someone may not see.
type narrowing struct {
	Withhold []string            `json:"withhold"` // labels, or "*": every label
	Redact   map[string][]string `json:"redact"`   // type to elements taken out
}

//go:embed shipped.json
var shipped []byte

//go:embed demo.json
var demo []byte

// Default is the policy that Firebreak ships, as a file to read and change.
func Default() []byte { return bytes.Clone(shipped) }

// Demo is the policy of the demonstration hospital.
func Demo() []byte { return bytes.Clone(demo) }

// Load reads a policy file. It is strict: unknown keys, unknown labels and
// contradictions are refused, with the line they stand on.
func Load(b []byte) (*Policy, error) {
	var f file
	if err := json.Unmarshal(b, &f, json.RejectUnknownMembers(true)); err != nil {
		at, what := int64(0), err.Error()
		var semantic *json.SemanticError
		var syntax *jsontext.SyntacticError
		switch {
		case errors.As(err, &semantic):
			at = semantic.ByteOffset
			what = "does not fit at " + string(semantic.JSONPointer)
			if errors.Is(err, json.ErrUnknownName) {
				what = "unknown key " + string(semantic.JSONPointer)
			}
		case errors.As(err, &syntax):
			at, what = syntax.ByteOffset, "not JSON: "+syntax.Err.Error()
		}
		return nil, fmt.Errorf("policy: line %d: %s", lineOf(b, at), what)
	}
	p := &Policy{version: "p" + digest(b)[:16], file: f}
	if pointer, what := f.check(); what != "" {
		return nil, fmt.Errorf("policy: line %d: %s: %s", lineAt(b, pointer), pointer, what)
	}
	return p, nil
}

// check tells what is wrong and where, as a JSON pointer; "" when nothing is.
func (f *file) check() (pointer jsontext.Pointer, what string) {
	if f.Unclassified != "hold" && f.Unclassified != "release" {
		return "/unclassified", `must be "hold" or "release"`
	}
	for _, l := range []label.Label{label.HIV, label.Reproductive, label.Cancer, label.STI, label.ViralHepatitis, label.SubstanceUse, label.Part2,
		label.MentalHealth, label.Psychotherapy, label.Genetic, label.Violence, label.GenderAffirming, label.Masked, label.Unclassified} {
		if _, ok := f.Labels[string(l)]; !ok {
			return "/labels", fmt.Sprintf("the label %q is missing", l)
		}
	}
	for name := range f.Labels {
		if name == "" || name == "*" || label.Label(name).Internal() || strings.ContainsAny(name, ",|+ :") {
			return jsontext.Pointer("/labels").AppendToken(name), "not a name for a label"
		}
	}
	for _, must := range []access.Audience{access.Provider, access.Backend, access.Source} {
		if _, ok := f.Audiences[string(must)]; !ok {
			return "/audiences", fmt.Sprintf("the audience %q is missing", must)
		}
	}
	for _, name := range sortedNames(f.Audiences) {
		a, at := f.Audiences[name], jsontext.Pointer("/audiences").AppendToken(name)
		if a.Unclassified != "" && a.Unclassified != "hold" && a.Unclassified != "release" {
			return at.AppendToken("unclassified"), `must be "hold" or "release"`
		}
		if a.As != "" {
			other, ok := f.Audiences[a.As]
			if !ok || other.As != "" {
				return at.AppendToken("as"), "names no audience of its own"
			}
			if a.Unclassified != "" || a.LabelsShown || a.BreakGlass != nil || a.Release != nil || a.Roles != nil || a.Worksites != nil || a.Withhold != nil || a.Redact != nil {
				return at, `what sees as another does, says nothing besides "about" and "enabled"`
			}
			continue
		}
		if a.Withhold == nil {
			return at, `"withhold" is missing; write [] to withhold nothing`
		}
		if pointer, what := f.narrowing(at, a.narrowing); what != "" {
			return pointer, what
		}
		if a.BreakGlass != nil {
			if pointer, what := a.BreakGlass.check(f, at, name); what != "" {
				return pointer, what
			}
		}
		if a.Release != nil {
			if pointer, what := a.Release.check(f, at, name); what != "" {
				return pointer, what
			}
		}
		for _, role := range sortedNames(a.Roles) {
			at := at.AppendToken("roles").AppendToken(role)
			if !access.Role(role).Clinical() {
				return at, "not a role that reads records"
			}
			if pointer, what := f.narrowing(at, a.Roles[role]); what != "" {
				return pointer, what
			}
		}
		for _, site := range sortedNames(a.Worksites) {
			if pointer, what := f.narrowing(at.AppendToken("worksites").AppendToken(site), a.Worksites[site]); what != "" {
				return pointer, what
			}
		}
	}
	return "", ""
}

func (f *file) narrowing(at jsontext.Pointer, n narrowing) (jsontext.Pointer, string) {
	for i, l := range n.Withhold {
		if _, ok := f.Labels[l]; !ok && l != "*" {
			return at.AppendToken("withhold").AppendToken(fmt.Sprint(i)), fmt.Sprintf("no label is called %q", l)
		}
	}
	for _, typ := range sortedNames(n.Redact) {
		at := at.AppendToken("redact").AppendToken(typ)
		if !fhir.IsType(typ) {
			return at, "not a resource type"
		}
		for _, e := range n.Redact[typ] {
			switch first, _, _ := strings.Cut(e, "."); first {
			case "", "resourceType", "id", "meta", "status":
				return at, fmt.Sprintf("%q cannot be taken out", e)
			}
		}
	}
	return "", ""
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func lineOf(b []byte, offset int64) int {
	return 1 + bytes.Count(b[:min(max(offset, 0), int64(len(b)))], []byte("\n"))
}

// lineAt is the line on which the value at a pointer begins, or on which the
// nearest thing around it does.
func lineAt(b []byte, pointer jsontext.Pointer) int {
	dec := jsontext.NewDecoder(bytes.NewReader(b))
	best, line := -1, 1
	for {
		before := dec.InputOffset()
		if _, err := dec.ReadToken(); err != nil {
			return line
		}
		here := dec.StackPointer()
		if (here == pointer || here.Contains(pointer)) && len(here) > best {
			best = len(here)
			gap := bytes.IndexFunc(b[before:], func(r rune) bool { return !strings.ContainsRune(" \t\r\n,:", r) })
			line = lineOf(b, before+int64(max(gap, 0)))
		}
	}
}
