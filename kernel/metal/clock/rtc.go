package clock

// The CMOS clock (MC146818): register r is read by writing r to port 0x70 and
// reading port 0x71.
//
//	0 2 4    seconds, minutes, hours
//	7 8 9    day of the month, month, year of the century
//	10       bit 7: an update begins within 244 µs, or is under way
//	11       bit 2: numbers are binary, else BCD; bit 1: 24 hours, else 12
//	         with bit 7 of the hours for p.m.
//
// The century's register differs; the FADT tells it.
const (
	portCMOSIndex = 0x70
	portCMOSData  = 0x71

	rtcStatusA  = 10
	rtcStatusB  = 11
	rtcUpdating = 0x80
	rtcBinary   = 4
	rtc24Hours  = 2
	rtcPM       = 0x80
)

// rtcReading is the registers as they stand.
type rtcReading struct {
	sec, min, hour, day, month, year, century uint8
}

// ReadRTC returns the time of the CMOS clock, taken as UTC, in seconds since
// 1970. It has whole seconds only: on average it is half a second late.
// century is the number of the century's register, 0 if there is none. It
// returns false if there is no clock or it shows no valid time. It takes some
// microseconds, or 2 ms at worst when it meets an update.
func ReadRTC(in8 func(port uint16) uint8, out8 func(port uint16, v uint8), century uint8) (unix int64, ok bool) {
	cmos := func(r uint8) uint8 {
		out8(portCMOSIndex, r)
		return in8(portCMOSData)
	}
	for range 8 {
		// An update takes 2 ms, each round no less than 0.1 µs.
		for i := 0; cmos(rtcStatusA)&rtcUpdating != 0; i++ {
			if i > 30000 {
				return 0, false
			}
		}
		r := rtcReading{sec: cmos(0), min: cmos(2), hour: cmos(4), day: cmos(7), month: cmos(8), year: cmos(9)}
		if century != 0 {
			r.century = cmos(century & 0x7f)
		}
		status := cmos(rtcStatusB)
		// An update in the meantime has changed the seconds, or is under way.
		if cmos(rtcStatusA)&rtcUpdating == 0 && cmos(0) == r.sec {
			return r.unix(status)
		}
	}
	return 0, false
}

// unix decodes a reading.
func (r rtcReading) unix(status uint8) (int64, bool) {
	pm := r.hour&rtcPM != 0
	hour := r.hour &^ rtcPM
	if status&rtcBinary == 0 {
		if !bcd(&r.sec) || !bcd(&r.min) || !bcd(&hour) || !bcd(&r.day) || !bcd(&r.month) || !bcd(&r.year) {
			return 0, false
		}
		if !bcd(&r.century) {
			r.century = 0
		}
	}
	if status&rtc24Hours == 0 {
		if hour < 1 || hour > 12 {
			return 0, false
		}
		hour %= 12
		if pm {
			hour += 12
		}
	} else if pm {
		return 0, false
	}
	year := int64(r.century)*100 + int64(r.year)
	if r.century < 19 || r.century > 29 { // nonsense, or none: 1970 to 2069
		year = 2000 + int64(r.year)
		if r.year >= 70 {
			year -= 100
		}
	}
	if r.sec > 59 || r.min > 59 || hour > 23 || r.year > 99 ||
		r.month < 1 || r.month > 12 || r.day < 1 || r.day > daysIn(year, r.month) {
		return 0, false
	}
	days := DaysFromCivil(year, int64(r.month), int64(r.day))
	return days*86400 + int64(hour)*3600 + int64(r.min)*60 + int64(r.sec), true
}

// bcd decodes two decimal digits in place.
func bcd(v *uint8) bool {
	high, low := *v>>4, *v&15
	*v = high*10 + low
	return high < 10 && low < 10
}

func daysIn(year int64, month uint8) uint8 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// DaysFromCivil returns the days from 1970-01-01 to a date of the Gregorian
// calendar, for years from 0 on. Years are counted from March, so that the
// leap day is the last, in eras of 400 years, which all have 146097 days.
func DaysFromCivil(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := year / 400
	yearOfEra := year % 400
	dayOfYear := (153*(month-3)+2)/5 + day - 1
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	return era*146097 + dayOfEra - 719468
}
