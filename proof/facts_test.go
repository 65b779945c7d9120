package proof_test

import (
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"firebreak/fhir/r4def"
)

// place is where a search parameter looks in the resources of one type.
type place struct {
	param string
	kind  string   // token, string, date...
	path  []string // element names; the last may begin a name, value for valueString
}

var resolves = regexp.MustCompile(`\.where\(resolve\(\) is (\w+)\)`)

// placesOf are where the parameters of a type look, of those that name elements
// plainly.
var placesOf = memo(func(typ string) []place {
	var all []place
	for _, p := range r4def.SearchParams() {
		if !slices.Contains(p.Base, typ) {
			continue
		}
		for look := range strings.SplitSeq(p.Expression, " | ") {
			look, _, _ = strings.Cut(strings.Trim(resolves.ReplaceAllString(look, ""), "()"), " as ")
			if path, ok := strings.CutPrefix(look, typ+"."); ok && !strings.ContainsAny(path, "()' ") {
				all = append(all, place{p.Code, p.Type, strings.Split(path, ".")})
			}
		}
	}
	return all
})

// card is what one resource could be found by.
type card struct {
	typ, id string
	patient string              // the id, where it names one
	facts   map[string][]string // by parameter
}

// facts takes down what a resource could be found by: for each parameter of its
// type what stands where that looks.
func (w *words) facts(typ, id string, resource map[string]any) {
	if len(w.cards) > 2000 {
		return
	}
	c := &card{typ: typ, id: id, facts: map[string][]string{}}
	for _, p := range placesOf(typ) {
		key := typ + "?" + p.param
		list := w.fact[key]
		leaves(resource, p.path, func(v any) {
			for _, s := range askable(p.kind, v) {
				w.add(&list, "fact "+key+" ", s)
				if s != "" {
					c.facts[p.param] = append(c.facts[p.param], s)
				}
				if id, ok := strings.CutPrefix(s, "Patient/"); ok && p.kind == "reference" {
					c.patient = id
				}
			}
		})
		if list != nil {
			w.fact[key] = list
		}
	}
	w.cards = append(w.cards, c)
}

// leaves gives what stands at a path, through arrays.
func leaves(v any, path []string, found func(any)) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			leaves(x, path, found)
		}
	case map[string]any:
		if len(path) == 0 {
			found(v)
			return
		}
		for name, x := range v {
			if name == path[0] || len(path) == 1 && strings.HasPrefix(name, path[0]) && len(name) > len(path[0]) && name[len(path[0])] <= 'Z' {
				leaves(x, path[1:], found)
			}
		}
	default:
		if len(path) == 0 {
			found(v)
		}
	}
}

// askable is how one asks for an element's value.
func askable(kind string, v any) []string {
	part := func(name string) string {
		m, _ := v.(map[string]any)
		switch x := m[name].(type) {
		case string:
			return x
		case json.Number:
			return x.String()
		}
		return ""
	}
	plain, _ := v.(string)
	switch kind {
	case "token":
		var all []string
		if m, ok := v.(map[string]any); ok {
			if codings, ok := m["coding"].([]any); ok {
				for _, c := range codings {
					all = append(all, askable(kind, c)...)
				}
			}
		}
		for _, code := range []string{plain, part("code"), part("value")} {
			if code != "" {
				all = append(all, escaped(code))
			}
			if system := part("system"); system != "" && code != "" {
				all = append(all, escaped(system)+"|"+escaped(code))
			}
		}
		return all
	case "string":
		if m, ok := v.(map[string]any); ok {
			var all []string
			for _, x := range m {
				switch x := x.(type) {
				case []any:
					for _, y := range x {
						all = append(all, askable(kind, y)...)
					}
				case string:
					all = append(all, escaped(x))
				}
			}
			slices.Sort(all)
			return all
		}
		return []string{escaped(plain)}
	case "reference":
		return []string{part("reference")}
	case "quantity", "number":
		if n, ok := v.(json.Number); ok {
			return []string{n.String()}
		}
		return []string{part("value")}
	case "date":
		return []string{plain, part("start"), part("end")}
	case "uri":
		return []string{escaped(plain)}
	}
	return nil
}

var escaped = strings.NewReplacer(`\`, `\\`, ",", `\,`, "$", `\$`).Replace

// fact is a value by which something of a type could be found; "" when nothing
// is known that could be.
func (g *asker) fact(typ, param string) string {
	if c := g.about; c != nil && c.typ == typ && g.IntN(5) > 0 {
		if all := c.facts[param]; len(all) > 0 {
			return all[g.IntN(len(all))]
		}
		return ""
	}
	return g.word(func(w *words) []string { return w.fact[typ+"?"+param] }, "")
}

// choose takes the resource that the next question is about.
func (g *asker) choose() {
	from := g.hidden.cards
	if n := len(from); n == 0 || g.IntN(2) == 0 {
		from = g.known.cards
	}
	if g.about = nil; len(from) > 0 && g.IntN(8) > 0 {
		g.about = from[g.IntN(len(from))]
	}
}

// along tells what the next condition is about, when it goes along a reference
// from or to what this one is about.
func (g *asker) along(fits func(*card) bool) (back func()) {
	was := g.about
	g.about = nil
	for _, w := range []*words{g.hidden, g.known} {
		if i := slices.IndexFunc(w.cards, fits); i >= 0 && (g.about == nil || g.IntN(2) == 0) {
			g.about = w.cards[i]
		}
	}
	return func() { g.about = was }
}

// hop asks for something visible by way of what is hidden beside it: the same
// patient's, or at the other end of a reference.
func (g *asker) hop(who *audience) (typ string, v url.Values) {
	if len(g.hidden.cards) == 0 || len(g.known.cards) == 0 {
		return "", nil
	}
	h := g.hidden.cards[g.IntN(len(g.hidden.cards))]
	g.about = h
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(h.facts)), func(s string) bool { return s == "subject" || s == "patient" })
	if h.patient == "" || len(names) == 0 || len(ownerOf(h.typ)) == 0 {
		return "", nil
	}
	name := pick(g, names...)
	value := pick(g, h.facts[name]...)
	has := "_has:" + h.typ + ":" + pick(g, ownerOf(h.typ)...) + ":" + name
	beside := func(c *card) bool { return c.patient == h.patient }
	from := func(c *card) (param string) {
		for _, name := range slices.Sorted(maps.Keys(c.facts)) {
			if slices.Contains(c.facts[name], h.typ+"/"+h.id) {
				return name
			}
		}
		return ""
	}
	to := func(c *card) (param string) {
		for _, name := range names {
			if slices.Contains(h.facts[name], c.typ+"/"+c.id) {
				return name
			}
		}
		return ""
	}
	v = url.Values{}
	within := func(c *card) {
		if owners := ownerOf(c.typ); len(owners) > 0 && c.patient != "" && (who.caller.Role() != "" || g.IntN(2) == 0) {
			v.Set(pick(g, owners...), "Patient/"+c.patient)
		}
	}
	start := g.IntN(len(g.known.cards))
	known := slices.Concat(g.known.cards[start:], g.known.cards[:start])
	switch g.IntN(4) {
	case 0:
		if i := slices.IndexFunc(known, beside); i >= 0 {
			if owners := ownerOf(known[i].typ); len(owners) > 0 {
				within(known[i])
				v.Add(pick(g, owners...)+":Patient."+has, value)
				return known[i].typ, v
			}
		}
	case 1:
		if i := slices.IndexFunc(known, func(c *card) bool { return from(c) != "" }); i >= 0 {
			within(known[i])
			v.Add(from(known[i])+":"+h.typ+"."+name, value)
			return known[i].typ, v
		}
	case 2:
		if i := slices.IndexFunc(known, func(c *card) bool { return to(c) != "" }); i >= 0 {
			within(known[i])
			v.Add("_has:"+h.typ+":"+to(known[i])+":"+name, value)
			return known[i].typ, v
		}
	}
	v.Set("_id", h.patient)
	v.Add(has, value)
	return "Patient", v
}

// ownerOf are the parameters of a type that name its patient.
var ownerOf = memo(func(typ string) []string {
	var all []string
	for _, p := range paramsOf(typ) {
		if (p.Name == "patient" || p.Name == "subject") && slices.Contains(p.Target, "Patient") {
			all = append(all, p.Name)
		}
	}
	return all
})

// composite is two values of which both must hold.
func (g *asker) composite(typ, param string) string {
	before, what, ok := strings.Cut(param, "code-value-")
	if !ok {
		return ""
	}
	if what == "concept" || what == "quantity" || what == "date" || what == "string" {
		return g.fact(typ, before+"code") + "$" + g.fact(typ, before+"value-"+what)
	}
	return ""
}
