package spool

import (
	"encoding/binary"
	"hash/crc32"

	"agentpassport.dev/operator/internal/audit"
)

const (
	// magic begins every segment.
	magic = "APSPOOL1"
	// frameHeader is what stands before a record: its length, and the CRC32C of length and record, each of
	// four bytes, the lowest first.
	frameHeader = 8
	// maxPayload is the longest record: the log takes no longer one.
	maxPayload = audit.MaxBytes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame puts a record with its header behind what is there.
func appendFrame(to, payload []byte) []byte {
	to = binary.LittleEndian.AppendUint32(to, uint32(len(payload))) //nolint:gosec // G115: at most maxPayload
	to = binary.LittleEndian.AppendUint32(to, checksum(to[len(to)-4:], payload))
	return append(to, payload...)
}

func checksum(length, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(length, castagnoli), castagnoli, payload)
}

// frameAt is how long the frame is that the bytes begin with, 0 for none. Every record is a JSON object.
func frameAt(raw []byte) int {
	length := lengthAt(raw)
	if length == 0 || len(raw) < frameHeader+length || raw[frameHeader] != '{' {
		return 0
	}
	if binary.LittleEndian.Uint32(raw[4:]) != checksum(raw[:4], raw[frameHeader:frameHeader+length]) {
		return 0
	}
	return frameHeader + length
}

// lengthAt is the length that a header gives its record, 0 where it can be none.
func lengthAt(raw []byte) int {
	if len(raw) < frameHeader {
		return 0
	}
	length := binary.LittleEndian.Uint32(raw)
	if length > maxPayload {
		return 0
	}
	return int(length)
}

// span is a part of a segment, from one byte up to and without another.
type span struct{ from, to int }

// payload is the record in a frame.
func (s span) payload(raw []byte) []byte { return raw[s.from+frameHeader : s.to] }

// scan finds the frames in some bytes, and what is none between and after them. Together they are all of the
// bytes. A record is JSON, in which no byte is zero, so that no header can stand inside one.
func scan(raw []byte) (frames, damage []span) {
	lost := 0
	for at := 0; at < len(raw); {
		length := frameAt(raw[at:])
		if length == 0 {
			at++
			lost++
			continue
		}
		if lost > 0 {
			damage = append(damage, span{at - lost, at})
			lost = 0
		}
		frames = append(frames, span{at, at + length})
		at += length
	}
	if lost > 0 {
		damage = append(damage, span{len(raw) - lost, len(raw)})
	}
	return frames, damage
}

// torn reports that the end of a segment is what a crash in the middle of a write leaves: the beginning of one
// frame, or zeros. Nothing in it was acknowledged.
func torn(end []byte) bool {
	if zeros(end) {
		return true
	}
	if len(end) < frameHeader {
		return true
	}
	length := lengthAt(end)
	return length > 0 && len(end) < frameHeader+length
}

func zeros(raw []byte) bool {
	for _, b := range raw {
		if b != 0 {
			return false
		}
	}
	return true
}
