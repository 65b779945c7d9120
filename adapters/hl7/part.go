package hl7

// Part is m as if it had the segments of g alone, which are m's own: one
// patient's share of a message about two. They keep the numbers that they have
// in m. A part cannot be edited, and its Bytes are those of the whole.
func (m *Message) Part(g Group) *Message {
	part := *m
	part.draft = true
	part.segs, part.numbers = make([]segment, len(g)), make([]int, len(g))
	for i, s := range g {
		part.segs[i], part.numbers[i] = m.segs[s.i], s.Index()
	}
	return &part
}
