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
	var space [4]edit
	e := editor{r: r, edits: space[:0]}
	place := e.offset(typ) + len(typ.b) // where what is missing goes
	switch {
	case id == "":
		id = r.id
	case old.IsZero():
		e.insert(place, append(append([]byte(`,"id":"`), id...), '"'))
	case id != r.id:
		e.replace(old, append(append([]byte{'"'}, id...), '"'))
	}
	var version, updated []byte
	if versionID != "" {
		version = append(append([]byte{'"'}, versionID...), '"')
	}
	if !lastUpdated.IsZero() {
		updated = append(lastUpdated.UTC().AppendFormat([]byte{'"'}, InstantFormat), '"')
	}
	switch kind := meta.Kind(); {
	case version == nil && updated == nil:
	case kind == 0 || kind == 'n':
		obj := append(append([]byte{'{'}, metaMembers(version, updated)...), '}')
		if meta.IsZero() {
			e.insert(place, append([]byte(`,"meta":`), obj...))
		} else {
			e.replace(meta, obj)
		}
	case kind == '{':
		for c := meta.open('{'); c.next(); {
			switch {
			case version != nil && c.nameIs("versionId"):
				e.replace(c.value(), version)
				version = nil
			case updated != nil && c.nameIs("lastUpdated"):
				e.replace(c.value(), updated)
				updated = nil
			}
		}
		if add := metaMembers(version, updated); len(add) > 0 {
			if meta.Len() > 0 {
				add = append(add, ',')
			}
			e.insert(e.offset(meta)+1, add)
		}
	default:
		return Resource{}, invalid(r.typ+".meta", "The meta is not an object.", nil)
	}
	if len(e.edits) == 0 {
		return r, nil
	}
	return Resource{typ: r.typ, id: id, json: e.bytes()}, nil
}

// WithID gives r another id and keeps every other byte.
func (r Resource) WithID(id string) (Resource, error) {
	if id == "" {
		return Resource{}, invalid(r.typ+".id", "The id is empty.", nil)
	}
	return r.With(id, "", time.Time{})
}

func metaMembers(version, updated []byte) []byte {
	var b []byte
	if version != nil {
		b = append(append(b, `"versionId":`...), version...)
	}
	if updated != nil {
		if b != nil {
			b = append(b, ',')
		}
		b = append(append(b, `"lastUpdated":`...), updated...)
	}
	return b
}
