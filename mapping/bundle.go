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
			if err := json.Compact(&b, res.JSON()); err != nil { // a Resource is valid JSON
				b.Write(res.JSON())
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
