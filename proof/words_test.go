package proof_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"firebreak/fhir"
)

// words is what somebody who saw a world would know to ask for.
type words struct {
	refs     []string            // "Type/id"
	versions []string            // "Type/id/_history/version"
	tokens   []string            // system|code
	codes    []string            //
	texts    []string            // words of names and notes
	dates    []string            //
	numbers  []string            //
	urls     []string            // systems, addresses
	etags    []string            //
	modified []string            // Last-Modified
	pages    map[string][]string // addresses of pages, by audience
	next     map[string][]string // addresses of further pages of searches, by audience
	fact     map[string][]string // what something could be found by, by "Type?parameter"
	types    []string            // of resources
	cards    []*card             // what each resource could be found by
	seen     map[string]bool     // to keep out doubles
}

func newWords() *words {
	return &words{pages: map[string][]string{}, next: map[string][]string{}, fact: map[string][]string{}, seen: map[string]bool{}}
}

func (w *words) add(list *[]string, kind, s string) {
	if s == "" || len(s) > 300 && !strings.HasPrefix(kind, "next ") || w.seen[kind+s] || len(*list) > 4000 {
		return
	}
	w.seen[kind+s] = true
	*list = append(*list, s)
}

// minus is what w knows and known does not.
func (w *words) minus(known *words) *words {
	out := newWords()
	for _, l := range []struct {
		from, to *[]string
		kind     string
	}{
		{&w.refs, &out.refs, "ref "}, {&w.versions, &out.versions, "version "}, {&w.tokens, &out.tokens, "token "}, {&w.codes, &out.codes, "code "},
		{&w.texts, &out.texts, "text "}, {&w.dates, &out.dates, "date "}, {&w.numbers, &out.numbers, "number "}, {&w.urls, &out.urls, "url "},
		{&w.etags, &out.etags, "etag "}, {&w.modified, &out.modified, "modified "}, {&w.types, &out.types, "type "},
	} {
		for _, s := range *l.from {
			if !known.seen[l.kind+s] {
				out.add(l.to, l.kind, s)
			}
		}
	}
	for _, m := range []struct {
		from, to map[string][]string
		kind     string
	}{{w.pages, out.pages, "page "}, {w.next, out.next, "next "}, {w.fact, out.fact, "fact "}} {
		for _, key := range slices.Sorted(maps.Keys(m.from)) {
			list := []string{}
			for _, s := range m.from[key] {
				if !known.seen[m.kind+key+" "+s] {
					out.add(&list, m.kind+key+" ", s)
				}
			}
			m.to[key] = list
		}
	}
	for _, c := range w.cards {
		if !known.seen["ref "+c.typ+"/"+c.id] {
			out.cards = append(out.cards, c)
		}
	}
	return out
}

var (
	looksLikeDate   = regexp.MustCompile(`^\d{4}(-\d\d(-\d\d(T.*)?)?)?$`)
	looksLikeNumber = regexp.MustCompile(`^-?\d+(\.\d+)?$`)
	hrefs           = regexp.MustCompile(`="(/[^"]*)"`)
)

// learn takes down what an answer tells.
func (w *words) learn(q question, a answer) {
	if e := a.header.Get("ETag"); e != "" {
		w.add(&w.etags, "etag ", e)
		w.add(&w.modified, "modified ", a.header.Get("Last-Modified"))
	}
	kind := a.header.Get("Content-Type")
	switch {
	case strings.HasPrefix(kind, "text/html"):
		list := w.pages[q.who.name]
		for _, m := range hrefs.FindAllSubmatch(a.body, -1) {
			path, _, _ := strings.Cut(html.UnescapeString(string(m[1])), "#")
			if !strings.HasPrefix(path, "/assets/") {
				w.add(&list, "page "+q.who.name+" ", path)
			}
		}
		w.pages[q.who.name] = list
	case strings.Contains(kind, "json") && a.status == http.StatusOK:
		d := json.NewDecoder(bytes.NewReader(a.body))
		d.UseNumber()
		var v any
		if d.Decode(&v) == nil {
			w.read("", v)
			w.follow(q.who.name, v)
		}
	}
}

// follow takes down where a searchset goes on.
func (w *words) follow(who string, v any) {
	bundle, _ := v.(map[string]any)
	links, _ := bundle["link"].([]any)
	for _, l := range links {
		if link, _ := l.(map[string]any); link["relation"] == "next" {
			address, _ := link["url"].(string)
			list := w.next[who]
			w.add(&list, "next "+who+" ", strings.TrimPrefix(address, base))
			w.next[who] = list
		}
	}
}

func (w *words) read(name string, v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			w.read(name, x)
		}
	case json.Number:
		w.add(&w.numbers, "number ", v.String())
	case string:
		w.leaf(name, v)
	case map[string]any:
		system, _ := v["system"].(string)
		for _, name := range []string{"code", "value"} {
			if code, ok := v[name].(string); ok && system != "" {
				w.add(&w.tokens, "token ", system+"|"+code)
			}
		}
		if typ, ok := v["resourceType"].(string); ok {
			if id, ok := v["id"].(string); ok {
				w.add(&w.refs, "ref ", typ+"/"+id)
				w.add(&w.types, "type ", typ)
				w.facts(typ, id, v)
				if meta, ok := v["meta"].(map[string]any); ok {
					w.add(&w.versions, "version ", fmt.Sprint(typ, "/", id, "/_history/", meta["versionId"]))
				}
			}
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			w.read(k, v[k])
		}
	}
}

func (w *words) leaf(name, s string) {
	switch {
	case name == "resourceType" || name == "versionId" || name == "data" || name == "div":
	case name == "reference" || name == "fullUrl" || name == "url" && !strings.Contains(s, "?"):
		w.add(&w.urls, "url ", s)
		s = strings.TrimPrefix(s, base+"/fhir/")
		if _, ok := fhir.ParseRef(s); ok {
			w.add(&w.refs, "ref ", s)
		}
	case name == "url":
	case name == "system":
		w.add(&w.urls, "url ", s)
	case looksLikeDate.MatchString(s):
		w.add(&w.dates, "date ", s)
	case looksLikeNumber.MatchString(s):
		w.add(&w.numbers, "number ", s)
		w.add(&w.codes, "code ", s)
	case name == "code" || name == "value" || name == "id":
		w.add(&w.codes, "code ", s)
	default:
		w.add(&w.texts, "text ", s)
		for _, part := range strings.Fields(s) {
			if len(part) > 3 {
				w.add(&w.texts, "text ", part)
			}
		}
	}
}
