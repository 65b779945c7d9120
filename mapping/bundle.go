package mapping

import (
	"bytes"
	"encoding/json"
)

// Bundle is a Result as one line of JSON without a line end: a FHIR transaction
// that puts its resources, in their order, to where its references lead. Links
// are not resources and not in it.
func Bundle(r Result) []byte {
	size := 64
	for _, res := range r.Resources {
		size += len(res.JSON()) + 128
	}
	b := bytes.NewBuffer(make([]byte, 0, size))
	b.WriteString(`{"resourceType":"Bundle","type":"transaction"`)
	for i, res := range r.Resources {
		if i == 0 {
			b.WriteString(`,"entry":[{`)
		} else {
			b.WriteString(`,{`)
		}
		method := "DELETE"
		if !res.Deleted {
			method = "PUT"
			b.WriteString(`"resource":`)
			if j := res.JSON(); bytes.IndexByte(j, '\n') >= 0 || bytes.IndexByte(j, '\r') >= 0 {
				_ = json.Compact(b, j) // a Resource is valid JSON
			} else {
				b.Write(j)
			}
			b.WriteByte(',')
		}
		b.WriteString(`"request":{"method":"` + method + `","url":"` + res.Type() + "/" + res.ID() + `"}}`) // both without what JSON escapes
	}
	if len(r.Resources) > 0 {
		b.WriteByte(']')
	}
	b.WriteByte('}')
	return b.Bytes()
}
