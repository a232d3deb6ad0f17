defmodule Graphport.Wire.Extension do
  # The extension types of PROTOCOL.md §2: big integers, tuples, sets, dates and times. Pure. The payloads of tuples
  # and sets are values; decoder and encoder read and write them and call `collect/2`. Called by both of them.
  @moduledoc false

  import Graphport.Wire.Limits

  @big_int 1
  @tuple 2
  @set 3
  @naive 4
  @date 5
  @time 6
  @timestamp -1

  # Seconds since 1970 of the years 1 and 10000: what Python's datetime can hold.
  @first_second -62_135_596_800
  @end_second 253_402_300_800

  @longest_iso8601_bytes 64

  @type reading :: {:ok, term} | {:error, String.t()}

  @spec collect(2 | 3, list) :: reading
  def collect(@tuple, items), do: {:ok, List.to_tuple(items)}

  def collect(@set, items) do
    if Enum.all?(items, &member?/1),
      do: {:ok, MapSet.new(items)},
      else: {:error, "a member of a set is a list, a map or a set"}
  end

  @doc "Whether a term may be a member of a set: Python must be able to hash it."
  @spec member?(term) :: boolean
  def member?(term) when is_list(term), do: false
  def member?(%module{}), do: module in [DateTime, NaiveDateTime, Date, Time, Graphport.Bytes]
  def member?(term) when is_map(term), do: false
  def member?(term) when is_tuple(term), do: Enum.all?(Tuple.to_list(term), &member?/1)
  def member?(_term), do: true

  @spec read(integer, binary) :: reading
  def read(@big_int, payload) when byte_size(payload) in 1..max_big_int_bytes() do
    bits = bit_size(payload)
    <<value::signed-size(bits)>> = payload
    {:ok, value}
  end

  def read(@big_int, payload), do: {:error, "a big integer of #{byte_size(payload)} bytes"}
  def read(@naive, text), do: iso8601(text, &NaiveDateTime.from_iso8601/1, "date and time")
  def read(@date, text), do: iso8601(text, &Date.from_iso8601/1, "date")
  def read(@time, text), do: iso8601(text, &Time.from_iso8601/1, "time of day")
  def read(@timestamp, <<seconds::32>>), do: timestamp(seconds, 0)
  def read(@timestamp, <<nanoseconds::30, seconds::34>>), do: timestamp(seconds, nanoseconds)
  def read(@timestamp, <<nanoseconds::32, seconds::signed-64>>), do: timestamp(seconds, nanoseconds)
  def read(@timestamp, payload), do: {:error, "a timestamp of #{byte_size(payload)} bytes"}
  def read(type, _payload), do: {:error, "unknown extension type #{type}"}

  @doc "Type and payload of a term which travels as an extension and holds no other terms."
  @spec write(integer | struct) :: {integer, binary} | :error
  def write(integer) when is_integer(integer) do
    case big_int(integer) do
      payload when byte_size(payload) <= max_big_int_bytes() -> {@big_int, payload}
      _too_long -> :error
    end
  end

  # Years as Python's datetime has them: an engine could not read others.
  def write(%NaiveDateTime{calendar: Calendar.ISO, year: year} = value) when year in 1..9999,
    do: {@naive, NaiveDateTime.to_iso8601(value)}

  def write(%Date{calendar: Calendar.ISO, year: year} = value) when year in 1..9999,
    do: {@date, Date.to_iso8601(value)}

  def write(%Time{calendar: Calendar.ISO} = value), do: {@time, Time.to_iso8601(value)}

  def write(%DateTime{calendar: Calendar.ISO} = value) do
    microseconds = DateTime.to_unix(value, :microsecond)
    seconds = Integer.floor_div(microseconds, 1_000_000)
    nanoseconds = Integer.mod(microseconds, 1_000_000) * 1_000

    cond do
      seconds < @first_second or seconds >= @end_second -> :error
      seconds in 0..0xFFFFFFFF and nanoseconds == 0 -> {@timestamp, <<seconds::32>>}
      seconds in 0..0x3FFFFFFFF -> {@timestamp, <<nanoseconds::30, seconds::34>>}
      true -> {@timestamp, <<nanoseconds::32, seconds::signed-64>>}
    end
  end

  def write(_other), do: :error

  @spec tuple() :: 2
  def tuple, do: @tuple

  @spec set() :: 3
  def set, do: @set

  defp timestamp(seconds, nanoseconds)
       when nanoseconds < 1_000_000_000 and seconds >= @first_second and seconds < @end_second,
       do: DateTime.from_unix(seconds * 1_000_000 + div(nanoseconds, 1_000), :microsecond)

  defp timestamp(_seconds, _nanoseconds), do: {:error, "a timestamp outside the years 1 to 9999"}

  # Elixir's parsers drop an offset, or a "Z", behind a naive time: here that is an error. What is longer than any date
  # and time is not looked at: searching it takes time that grows with the square of its length.
  defp iso8601(text, _parse, what) when byte_size(text) > @longest_iso8601_bytes,
    do: {:error, "not an ISO 8601 #{what}"}

  defp iso8601(text, parse, what) do
    with true <- String.match?(text, ~r/\A[0-9:T. -]+\z/) and not String.match?(text, ~r/:.*-/),
         {:ok, value} <- parse.(text) do
      {:ok, value}
    else
      _bad -> {:error, "not an ISO 8601 #{what}"}
    end
  end

  # Two's complement in the fewest bytes.
  defp big_int(integer) do
    magnitude = if integer < 0, do: -integer - 1, else: integer
    bytes = byte_size(:binary.encode_unsigned(magnitude))
    bits = bytes * 8

    case <<magnitude::size(bits)>> do
      <<0::1, _::bits>> -> <<integer::signed-size(bits)>>
      _sign_bit_taken -> <<integer::signed-size(bits + 8)>>
    end
  end
end
