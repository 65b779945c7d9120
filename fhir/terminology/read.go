package terminology

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
)

// mostOwn bounds the codes that an operator brings: they stay in memory, some 300
// bytes each.
const mostOwn = 200_000

// file is a definition and where it stands.
type file struct {
	res   fhir.Resource
	where string // "sets/lab.json" or "sets/all.json: Bundle.entry[2].resource"
}

// Read makes a Library of R4's own and of the ValueSets and CodeSystems in files,
// each a resource or a Bundle of them, in JSON, and in all files of folders whose
// names end in .json. Every value set is expanded; one whose codes are not all
// known is an error.
//
// An id, and an address of which R4 has the codes already, may not be taken again.
// Errors name file and element, a line each.
func Read(paths ...string) (*Library, error) {
	var all []file
	var errs []error
	for _, path := range paths {
		err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || name != path && !strings.HasSuffix(name, ".json") {
				return err
			}
			found, err := readFile(name)
			if err != nil {
				errs = append(errs, err)
			}
			all = append(all, found...)
			return nil
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("terminology: %w", err))
		}
	}
	l := &Library{byURL: map[fhir.Ref]fhir.Resource{}, byRef: map[fhir.Ref]fhir.Resource{}}
	for _, f := range all {
		if text := l.take(f); text != "" {
			errs = append(errs, fmt.Errorf("terminology: %s: %s", f.where, text))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	slices.SortFunc(l.own, func(a, b fhir.Resource) int {
		return cmp.Or(cmp.Compare(a.Type(), b.Type()), cmp.Compare(a.ID(), b.ID()))
	})
	slices.SortStableFunc(all, func(a, b file) int { return cmp.Compare(a.res.Type(), b.res.Type()) }) // systems first: sets take their codes
	codes := 0
	for _, f := range all {
		url := f.res.Get("url").Text()
		var err error
		if f.res.Type() == "CodeSystem" {
			var s *System
			if s, err = l.System(url); err == nil {
				l.systems.fix(url, s)
				codes += s.Len()
			}
		} else {
			var s *Set
			if s, err = l.Set(url); err == nil {
				l.sets.fix(url, s)
				codes += s.Len()
			}
		}
		if e, ok := err.(*Error); ok {
			errs = append(errs, fmt.Errorf("terminology: %s: %s", f.where, e.Text))
		}
	}
	if codes > mostOwn {
		errs = append(errs, fmt.Errorf("terminology: there are %d codes, %d at most are kept", codes, mostOwn))
	}
	return l, errors.Join(errs...)
}

func readFile(name string) (all []file, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("terminology: %w", err)
	}
	r, err := fhir.Parse(b)
	if err != nil {
		text := err.Error()
		if e, ok := errors.AsType[*fhir.Error](err); ok {
			text = e.Text
		}
		return nil, fmt.Errorf("terminology: %s: %s", name, text)
	}
	if r.Type() != "Bundle" {
		return []file{{r, name}}, nil
	}
	i := 0
	for entry := range r.All("entry") {
		where := name + ": Bundle.entry[" + strconv.Itoa(i) + "].resource"
		i++
		one, err := fhir.Parse(entry.Get("resource").Raw())
		if err != nil {
			return nil, fmt.Errorf("terminology: %s: it is no resource", where)
		}
		all = append(all, file{one, where})
	}
	return all, nil
}

// take adds a definition; it tells what is wrong with it.
func (l *Library) take(f file) string {
	r := f.res
	if r.Type() != "ValueSet" && r.Type() != "CodeSystem" {
		return "a " + r.Type() + " is neither a ValueSet nor a CodeSystem."
	}
	for _, p := range r4def.Check(r) {
		if !p.Slight {
			return p.String() + "."
		}
	}
	url := r.Get("url").Text()
	if url == "" || strings.ContainsAny(url, "|#") || shown(url) != url {
		return r.Type() + ".url: it has no canonical address."
	}
	if !fhir.ValidID(r.ID()) {
		return r.Type() + ".id: it has none."
	}
	at := fhir.Ref{Type: r.Type(), ID: url}
	if _, twice := l.byURL[at]; twice {
		return r.Type() + ".url: " + url + " stands twice."
	}
	t, official := r4def.TermAt(r.Ref())
	if _, twice := l.byRef[r.Ref()]; twice || official && t.URL != url {
		return r.Type() + ".id: " + r.ID() + " is another's."
	}
	if _, official = r4def.TermOf(r.Type(), url); official && published.has(at) {
		return r.Type() + ".url: " + url + " is R4's own."
	}
	l.byURL[at], l.byRef[r.Ref()] = r, r
	l.own = append(l.own, r)
	return ""
}

// has tells whether all codes of a definition are known.
func (l *Library) has(at fhir.Ref) bool {
	if at.Type == "CodeSystem" {
		_, err := l.System(at.ID)
		return err == nil
	}
	_, err := l.Set(at.ID)
	return err == nil
}

// Own are the numbers of ValueSets and CodeSystems that an operator brought.
func (l *Library) Own() (sets, systems int) {
	for _, r := range l.or().own {
		if r.Type() == "ValueSet" {
			sets++
		} else {
			systems++
		}
	}
	return sets, systems
}
