// Package ccda reads clinical documents in HL7's CDA R2, as C-CDA R1.1 and R2.1
// constrain it: header, sections, entries, data types and narrative. It knows the
// grammar; what an entry means is the caller's.
//
// # What is refused
//
// A document type declaration, whatever it declares; more than [MaxSize] bytes,
// [MaxDepth] levels or the marks that fit no document (see parse.go); a prefix that
// nobody declared; an attribute twice in one element; what is not well-formed. The
// only entities are XML's own five and character references.
//
// # What is lenient
//
// Templates and cardinalities are not checked: what real systems send breaks them
// in every second document. An absent element is a nil [*Element], on which every
// method answers "nothing", so paths may be followed without checks between.
//
// # Names
//
// An element of urn:hl7-org:v3 has its local name, one of HL7's extensions
// (urn:hl7-org:sdtc) "sdtc:" before it, any other "?" before it. Attributes
// likewise: "code", "xsi:type", "sdtc:valueSet".
//
// Sources: HL7 CDA R2 (2005); HL7 C-CDA R1.1 and R2.1; XML 1.0, Namespaces in XML 1.0.
package ccda
