// Package search evaluates FHIR R4 searches over resources held in memory:
// filter first, search second. Nothing here reads a store.
//
// An [Index] is made over what one caller may see; every match, chain, reverse
// chain, include, count and order is computed inside it, so nothing outside it
// can show through. Parameters are the official ones of R4, their expressions
// compiled from package r4def.
//
// Source: http://hl7.org/fhir/R4/search.html
package search

import "firebreak/fhir"

// Item is what an index holds: a resource, with whatever its owner needs beside it.
type Item interface{ Resource() fhir.Resource }

// Summary is the value of _summary.
type Summary string

// Total is the value of _total.
type Total string

const (
	SummaryNone  Summary = "" // not asked, or "false"
	SummaryTrue  Summary = "true"
	SummaryText  Summary = "text"
	SummaryData  Summary = "data"
	SummaryCount Summary = "count"

	TotalUnsaid   Total = ""
	TotalNone     Total = "none"
	TotalEstimate Total = "estimate"
	TotalAccurate Total = "accurate"
)
