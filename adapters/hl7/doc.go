// Package hl7 reads and writes HL7 v2 messages and speaks MLLP, as a library:
// it knows the grammar and the wire, and nothing of what messages mean.
//
// A message is bytes that stay as they came. Parse finds the segments; fields,
// repetitions, components and subcomponents are cut when they are asked for:
//
//	m, err := hl7.Parse(b)
//	for obx := range m.All("OBX") {
//		code := obx.Field(3).Component(1).String()
//		value, err := obx.Field(5).Number() // err names OBX-5 and the segment, never the value
//		...
//	}
//
// Segments and fields count from 1 as the standard does, repetitions from 0 as
// slices do. What was not sent is empty, at every level, so that accessors can
// be chained without checks; the HL7 null is told apart by Null. Groups cuts a
// message into orders and results. With gives an edited copy.
//
// A Writer writes a message. A Server gives what arrives to a Handler and tells
// the sender what it returned; a Client sends and waits for the answer to that very message; Bulk
// sends files over many connections. Split and Scanner take files apart.
//
// # What is implemented
//
// HL7 v2.9, and what earlier versions have differently (v2.1 on):
//
//   - chapter 2.5, segments, fields and delimiters: declared delimiters including
//     the truncation character (v2.7), the null, any segment end, segments of any
//     name; leniently, texts broken by line ends (Segment.Broken).
//   - chapter 2.7, escape sequences: \F\ \S\ \T\ \R\ \E\ \P\, \X..\, \Z..\ (left
//     as sent), \H\ \N\, the formatting commands of FT, \C..\ \M..\ (JIS X 0208
//     decoded, others dropped).
//   - chapter 2.8, compatibility: a part that has parts reads as its first.
//   - chapter 2.9, acknowledgements: original and enhanced mode by MSH-15 and
//     MSH-16, immediate answers only. No sequence numbers (2.10.1), no
//     continuation (2.10.2: DSC and ADD are read as segments, not joined).
//   - chapter 2.10.3, batches: FHS, BHS, BTS, FTS with their counts, in files and
//     in frames; a batch is answered with a batch.
//   - chapter 2.13, MSH, MSA and ERR as an answer needs them; ERR-1 before v2.5.
//   - chapter 2A, data types: DT, TM, DTM and TS at any precision and offset, NM,
//     SN; all others are components to read. Lengths and tables are not checked.
//   - table 0211, character sets: ASCII, 8859/1 to 9 and 15, UTF-8, UTF-16,
//     UTF-32, GB 18030, Big5, KS X 1001, the Japanese sets, and windows-1252; see
//     Message.Charset for what happens when a declaration is wrong.
//
// MLLP release 1; the commit acknowledgements of release 2 on request. TLS with
// client certificates on both sides.
//
// Not implemented: the XML encoding, message profiles (2B), conformance checks
// of message structures, query continuation, and the sequence number protocol.
package hl7
