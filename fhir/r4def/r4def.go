// Package r4def holds the official R4 definitions as tables, and judges
// resources by them.
//
// The tables come from the npm packages hl7.fhir.r4.examples and
// hl7.fhir.r4.expansions, 4.0.1, of HL7 International (CC0-1.0). To make them
// anew, unpack both, and run
//
//	FHIR_R4_EXAMPLES=.../package FHIR_R4_EXPANSIONS=.../package go generate ./fhir/r4def
package r4def

//go:generate go run ./gen -examples $FHIR_R4_EXAMPLES -expansions $FHIR_R4_EXPANSIONS -out .
