package spool

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// frameOf is a record in its frame.
func frameOf(payload string) []byte { return appendFrame(nil, []byte(payload)) }

// What is written is found, whatever stands between: a part that was changed costs the records that it touches.
func TestFramesAreFoundAroundDamage(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var raw []byte
		var want [][]byte
		for range rapid.IntRange(0, 12).Draw(rt, "frames") {
			payload := `{"id":"` + rapid.StringMatching(`[ -!#-~]{0,80}`).Draw(rt, "text") + `"}`
			if rapid.IntRange(0, 3).Draw(rt, "damage") == 0 {
				// No run of bytes without a brace holds a frame.
				raw = append(raw, rapid.SliceOfN(rapid.ByteRange(0, '{'-1), 1, 60).Draw(rt, "garbage")...)
			}
			raw = appendFrame(raw, []byte(payload))
			want = append(want, []byte(payload))
		}
		frames, damage := scan(raw)
		if len(frames) != len(want) {
			rt.Fatalf("%d frames of %d", len(frames), len(want))
		}
		for i, frame := range frames {
			if !bytes.Equal(frame.payload(raw), want[i]) {
				rt.Fatalf("frame %d: %s", i, frame.payload(raw))
			}
		}
		covers(rt, raw, frames, damage)
	})
}

// One bit that flips costs one record, and no other.
func TestAFlippedBitCostsOneRecord(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var raw []byte
		var ends []int
		for range rapid.IntRange(1, 8).Draw(rt, "frames") {
			raw = appendFrame(raw, []byte(`{"id":"`+rapid.StringMatching(`[a-z]{1,400}`).Draw(rt, "text")+`"}`))
			ends = append(ends, len(raw))
		}
		at := rapid.IntRange(0, len(raw)-1).Draw(rt, "at")
		raw[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		frames, damage := scan(raw)
		if len(frames) != len(ends)-1 || len(damage) != 1 || damage[0].from > at || damage[0].to <= at {
			rt.Fatal(len(frames), len(ends), damage, at)
		}
	})
}

func TestTornEnds(t *testing.T) {
	whole := frameOf(`{"id":"x"}`)
	for n := range whole {
		if frames, damage := scan(whole[:n]); len(frames) != 0 || (n > 0) != (len(damage) == 1) || !torn(whole[:n]) {
			t.Error(n, frames, damage)
		}
	}
	other := frameOf(`{"id":"y"}`)
	other[len(other)-2] ^= 1
	if torn(other) {
		t.Error("a whole frame with another checksum is damage")
	}
	if torn([]byte("some text that is no header at all")) {
		t.Error("text is damage")
	}
	if !torn(make([]byte, 100)) {
		t.Error("zeros are what a file system leaves behind a crash")
	}
}

type failer interface{ Fatalf(string, ...any) }

// covers checks that the spans are all of the bytes, each once and in order.
func covers(t failer, raw []byte, frames, damage []span) {
	at := 0
	for len(frames)+len(damage) > 0 {
		switch {
		case len(frames) > 0 && frames[0].from == at:
			at, frames = frames[0].to, frames[1:]
		case len(damage) > 0 && damage[0].from == at:
			at, damage = damage[0].to, damage[1:]
		default:
			t.Fatalf("nothing begins at %d", at)
		}
	}
	if at != len(raw) {
		t.Fatalf("%d of %d bytes", at, len(raw))
	}
}

func FuzzSegment(f *testing.F) {
	f.Add([]byte(nil), true)
	f.Add([]byte(magic), true)
	f.Add(append([]byte(magic), frameOf(`{"id":"x"}`)...), false)
	f.Add(append(append([]byte(magic), frameOf(`{"id":"x"}`)...), 12, 0, 0, 0, 1, 2), true)
	f.Add(append([]byte("nonsense{"), frameOf(`{}`)...), false)
	f.Fuzz(func(t *testing.T, raw []byte, last bool) {
		frames, damage := scan(raw)
		covers(t, raw, frames, damage)
		for _, frame := range frames {
			if !bytes.Equal(raw[frame.from:frame.to], frameOf(string(frame.payload(raw)))) {
				t.Fatal("a frame that nobody writes")
			}
		}
		mended, records, asides := mend(raw, last)
		again, sameRecords, none := mend(mended, last)
		if !bytes.Equal(mended, again) || records != sameRecords || len(none) != 0 {
			t.Fatal("a mended segment is whole")
		}
		kept := len(mended) - len(magic)
		for _, aside := range asides {
			kept += aside.to - aside.from
		}
		if !last && kept < len(raw)-len(magic) {
			t.Fatalf("%d of %d bytes are kept", kept, len(raw))
		}
	})
}
