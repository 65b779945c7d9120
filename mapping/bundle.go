package mapping

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// Bundle is a Result as one line of JSON without a line end: a FHIR transaction
// that puts its resources, in their order, to where its references lead. Links
// are not resources and not in it.
func Bundle(r Result) []byte {
	var b bytes.Buffer
	b.WriteString(`{"resourceType":"Bundle","type":"transaction"`)
	for i, res := range r.Resources {
		b.WriteString(map[bool]string{true: `,"entry":[`, false: `,`}[i == 0])
		method := "PUT"
		if res.Deleted {
			method = "DELETE"
		} else {
			b.WriteString(`{"resource":`)
			if j := res.JSON(); bytes.ContainsAny(j, "\r\n") {
				_ = json.Compact(&b, j) // a Resource is valid JSON
			} else {
				b.Write(j)
			}
		}
		b.WriteString(map[bool]string{true: `{`, false: `,`}[res.Deleted])
		b.WriteString(`"request":{"method":"` + method + `","url":` + strconv.Quote(res.Ref().String()) + `}}`)
	}
	if len(r.Resources) > 0 {
		b.WriteByte(']')
	}
	b.WriteByte('}')
	return b.Bytes()
}
