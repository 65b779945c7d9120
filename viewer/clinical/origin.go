package clinical

import (
	"sync"

	"firebreak/fhir"
)

// origins finds the message that brought a resource, by the Provenance the
// mapping leaves with it. It is built when first asked for.
type origins struct {
	once sync.Once
	by   map[fhir.Ref]string
}

// Message is the id of the message that brought an item, as its source
// numbered it (MSH-10); empty when not told.
func (c *Chart) Message(r fhir.Ref) string {
	c.origin.once.Do(func() {
		c.origin.by = map[fhir.Ref]string{}
		for _, x := range c.src.Of("Provenance") {
			id := ""
			for e := range x.Content().Get("entity").Items() {
				if v := e.Get("what").Get("identifier").Get("value").Text(); v != "" {
					id = v
				}
			}
			if id == "" {
				continue
			}
			for t := range x.Content().Get("target").Items() {
				c.origin.by[ref(t)] = id
			}
		}
	})
	return c.origin.by[r]
}
