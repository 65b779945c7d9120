package mapping

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"firebreak/adapters/ccda"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// byTemplate says what an entry is, by its template (the root after "...22.4."); nil for
// what is judged by its kind and mood.
func byTemplate(suffix string) func(*clinical, *ccda.Element) bool {
	switch suffix {
	case "30":
		return (*clinical).allergyConcern
	case "7":
		return (*clinical).allergyAlone
	case "3", "33", "34", "51", "65", "80", "132", "136":
		return (*clinical).concern
	case "4", "19", "68", "73":
		return (*clinical).problemAlone
	case "16", "42", "120":
		return (*clinical).medication
	case "52":
		return (*clinical).immunization
	case "18":
		return (*clinical).dispense
	case "17":
		return (*clinical).supplyOrder
	case "14", "12":
		return (*clinical).procedure
	case "13":
		return (*clinical).observationAlone
	case "1":
		return (*clinical).results
	case "26", "66", "75":
		return (*clinical).panel
	case "45":
		return (*clinical).family
	case "49":
		return (*clinical).visitEntry
	case "60":
		return (*clinical).coverageActivity
	case "61":
		return (*clinical).policyActivity
	case "50":
		return (*clinical).equipment
	case "121":
		return (*clinical).goal
	case "64", "122":
		return (*clinical).nothing
	}
	return nil
}

func (c *clinical) nothing(*ccda.Element) bool { return true }

// statement maps a clinical statement; false when nothing of it could be.
func (c *clinical) statement(e *ccda.Element) bool {
	if c.nested > 8 {
		return false
	}
	c.nested++
	defer func() { c.nested-- }()
	for t := range e.All("templateId") {
		if suffix, ok := strings.CutPrefix(t.Attr("root"), template); ok {
			if f := byTemplate(suffix); f != nil {
				return f(c, e)
			}
		}
	}
	mood := e.Attr("moodCode")
	event := mood == "EVN" || mood == ""
	switch {
	case e.Name == "observation" && mood == "GOL":
		return c.goal(e)
	case e.Name == "observation" && event:
		return c.observationAlone(e)
	case e.Name == "procedure" && event:
		return c.procedure(e)
	case e.Name == "encounter" && event:
		return c.visitEntry(e)
	case e.Name == "substanceAdministration":
		return c.medication(e)
	case e.Name == "supply" && event:
		return c.equipment(e)
	case e.Name == "organizer":
		return c.panel(e)
	case e.Name == "act" && event:
		return c.inside(e)
	case e.Name == "observationMedia":
		return c.picture(e)
	case actIntents[mood] != "":
		made := c.request(e)
		return c.inside(e) || made
	}
	return false
}

// inside maps the statements that stand in e; false when none could be.
func (c *clinical) inside(e *ccda.Element) bool {
	any := false
	for _, name := range [...]string{"entryRelationship", "component"} {
		for r := range e.All(name) {
			if s := ccda.Statement(r); s != nil && c.statement(s) {
				any = true
			}
		}
	}
	return any
}

// related gives the statements in relation to e that carry a template, in order.
func related(e *ccda.Element, suffix string) []*ccda.Element {
	var all []*ccda.Element
	for r := range e.All("entryRelationship") {
		if s := ccda.Statement(r); s != nil && s.Has(template+suffix) {
			all = append(all, s)
		}
	}
	return all
}

// coded gives the first observation or act in relation to e with one of these codes.
func relatedCode(e *ccda.Element, codes ...string) *ccda.Element {
	for r := range e.All("entryRelationship") {
		s := ccda.Statement(r)
		code := s.Child("code").Attr("code")
		for _, want := range codes {
			if s != nil && code == want {
				return s
			}
		}
	}
	return nil
}

// name gives an entry its id. It is made from what the source calls the entry and from
// what the entry is about, so that the same fact in two documents is one resource and
// an id that a system uses for everything is not: an observation is its number and its
// test. by is what else tells two entries of one name apart, where a document has both.
// Without an identifier, what it says is its name.
func (c *clinical) name(typ string, e *ccda.Element, about ccda.CD, by ...string) (id string, known bool) {
	about = primary(about)
	key := called(e)
	if key == nil {
		key = append([]string{"", ""}, by...)
	}
	key = append(key, about.Code, about.System)
	if about.Code == "" {
		key = append(key, or(about.Original, about.Display))
	}
	id = c.distinct(typ, key, strings.Join(by, "\x00"))
	return id, c.has(typ, id)
}

// primary is the code that says most of what something is: its own, or its first translation.
func primary(cd ccda.CD) ccda.CD {
	if cd.Code == "" {
		for _, t := range cd.Translations {
			if t.Code != "" {
				return t
			}
		}
	}
	return cd
}

// distinct is the id of the resource that key names. When this document has used it
// for what by tells apart, by becomes part of the name.
func (c *clinical) distinct(typ string, key []string, by string) string {
	id := c.id(typ, key...)
	if first, used := c.used[id]; used && first.by != by {
		sum := sha256.Sum256([]byte(by))
		return c.id(typ, append(append([]string{}, key...), hex.EncodeToString(sum[:]))...)
	}
	c.used[id] = usage{typ, by}
	return id
}

// again refers a section to a resource that an entry before has made.
func (c *clinical) again(typ, id string) bool {
	c.made = append(c.made, refer(typ, id))
	return true
}

// start is when an entry began, as sent.
func start(e *ccda.Element) string { return ccda.IntervalOf(e.Child("effectiveTime")).Start() }

// wordsOf is the part of the narrative that belongs to e: what it, and the act around it
// that says what it is, refer to.
func (c *clinical) wordsOf(e *ccda.Element) string {
	var all []string
	add := func(x *ccda.Element) {
		if s := clean(c.doc.Words(x.Child("text"))); s != "" && !containsString(all, s) {
			all = append(all, s)
		}
	}
	add(e)
	for up := e; up != nil && up.Name != "section"; up = up.Up {
		if up.Up != nil && up.Up.Name == "entryRelationship" && up.Up.Up != nil {
			if act := up.Up.Up; act.Name == "act" {
				add(act)
			}
		}
	}
	return strings.Join(all, "\n")
}

func containsString(all []string, s string) bool {
	for _, x := range all {
		if x == s {
			return true
		}
	}
	return false
}

// notesOf are the comments on e, and its instructions.
//
// Source: C-CDA on FHIR, Comment to Annotation.
func (c *clinical) notesOf(e *ccda.Element) []r4.Annotation {
	var all []r4.Annotation
	for r := range e.All("entryRelationship") {
		s := ccda.Statement(r)
		if s == nil || s.Name != "act" || !s.Has(template+"64") && s.Child("code").Attr("code") != "48767-8" {
			continue
		}
		if text := clean(c.doc.Words(s.Child("text"))); text != "" {
			who, at := c.authored(s)
			all = append(all, r4.Annotation{Text: text, AuthorReference: who, Time: at})
		}
	}
	return all
}

// reasonsOf are the indications of e.
func (c *clinical) reasonsOf(e *ccda.Element) []r4.CodeableConcept {
	var all []r4.CodeableConcept
	for r := range e.All("entryRelationship") {
		s := ccda.Statement(r)
		if r.Attr("typeCode") != "RSON" || s == nil || s.Name != "observation" || s.Has(template+"53") {
			continue
		}
		for v := range s.All("value") {
			if cc := c.conceptOf(c.doc.CD(v)); cc != nil {
				all = append(all, *cc)
			}
		}
	}
	for pre := range e.All("precondition") {
		for v := range pre.Child("criterion").All("value") {
			if cc := c.conceptOf(c.doc.CD(v)); cc != nil && e.Name != "substanceAdministration" {
				all = append(all, *cc)
			}
		}
	}
	return all
}

// inEncounter is the encompassing encounter, that all of the document belongs to unless
// it says otherwise.
func (c *clinical) inEncounter() []r4.Reference {
	if c.visits == nil {
		c.visits = []*r4.Reference{c.encounterRef()}
	}
	if c.visits[0] == nil {
		return nil
	}
	return []r4.Reference{*c.visits[0]}
}

// negated tells whether an entry says that something is not.
func negated(e *ccda.Element) bool { return e.Attr("negationInd") == "true" }

// saidStatus is the statusCode of e by a table, or otherwise.
func saidStatus(e *ccda.Element, table map[string]string, otherwise string) string {
	return or(table[e.Child("statusCode").Attr("code")], otherwise)
}
