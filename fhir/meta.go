package fhir

import "time"

// InstantFormat is how the gateway writes an instant: milliseconds, UTC.
const InstantFormat = "2006-01-02T15:04:05.000Z"

// With gives r the id, meta.versionId and meta.lastUpdated, and keeps every
// other byte, the rest of meta included. What is empty or zero is left alone.
func (r Resource) With(id, versionID string, lastUpdated time.Time) (Resource, error) {
	if id != "" && !ValidID(id) || versionID != "" && !ValidID(versionID) {
		return Resource{}, invalid(r.typ+".id", "The id is not 1 to 64 letters, digits, '-' or '.'.", nil)
	}
	var typ, old, meta Node
	for c := r.Root().open('{'); c.next(); {
		switch {
		case c.nameIs("resourceType"):
			typ = c.value()
		case c.nameIs("id"):
			old = c.value()
		case c.nameIs("meta"):
			meta = c.value()
		}
	}
	if typ.IsZero() {
		return Resource{}, invalid("resourceType", "The resourceType is missing.", nil)
	}
	e := editor{r: r, edits: make([]edit, 0, 4)}
	place := e.offset(typ) + len(typ.b) // where what is missing goes
	text := make(scratch, 0, 192)
	switch {
	case id == "":
		id = r.id
	case old.IsZero():
		e.insert(place, text.add(`,"id":"`, id, `"`))
	case id != r.id:
		e.replace(old, text.add(`"`, id, `"`))
	}
	var now [len(InstantFormat)]byte
	updated := string(lastUpdated.UTC().AppendFormat(now[:0], InstantFormat))
	if lastUpdated.IsZero() {
		updated = ""
	}
	switch kind := meta.Kind(); {
	case versionID == "" && updated == "":
	case kind == 0:
		e.insert(place, text.meta(`,"meta":{`, versionID, updated, `}`))
	case kind == 'n':
		e.replace(meta, text.meta(`{`, versionID, updated, `}`))
	case kind == '{':
		for c := meta.open('{'); c.next(); {
			switch {
			case versionID != "" && c.nameIs("versionId"):
				e.replace(c.value(), text.add(`"`, versionID, `"`))
				versionID = ""
			case updated != "" && c.nameIs("lastUpdated"):
				e.replace(c.value(), text.add(`"`, updated, `"`))
				updated = ""
			}
		}
		comma := ","
		if c := meta.open('{'); !c.next() {
			comma = ""
		}
		if versionID != "" || updated != "" {
			e.insert(e.offset(meta)+1, text.meta("", versionID, updated, comma))
		}
	default:
		return Resource{}, invalid(r.typ+".meta", "The meta is not an object.", nil)
	}
	if len(e.edits) == 0 {
		return r, nil
	}
	return Resource{typ: r.typ, id: id, json: e.bytes()}, nil
}

// scratch holds the short texts of one edit, in one allocation.
type scratch []byte

func (s *scratch) add(parts ...string) []byte {
	from := len(*s)
	for _, p := range parts {
		*s = append(*s, p...)
	}
	return (*s)[from:]
}

func (s *scratch) meta(before, version, updated, after string) []byte {
	switch {
	case version == "":
		return s.add(before, `"lastUpdated":"`, updated, `"`, after)
	case updated == "":
		return s.add(before, `"versionId":"`, version, `"`, after)
	}
	return s.add(before, `"versionId":"`, version, `","lastUpdated":"`, updated, `"`, after)
}

// WithID gives r another id and keeps every other byte.
func (r Resource) WithID(id string) (Resource, error) {
	if id == "" {
		return Resource{}, invalid(r.typ+".id", "The id is empty.", nil)
	}
	return r.With(id, "", time.Time{})
}
