defmodule Graphport.Faults.DecoderFuzzTest do
  # Whatever comes out of a pipe is read or refused: nothing is raised, no atom is made, no memory is kept, and no frame
  # costs more than its length allows.
  #
  # GRAPHPORT_FUZZ_SEED=… makes the frames of an earlier run again. Not async: atoms and memory are the BEAM's.
  use ExUnit.Case

  alias Graphport.{Error, Fuzz}
  alias Graphport.Wire.{Decoder, Messages}

  @quick 20_000
  @slow 1_000_000
  @warm_up 2_000
  # The BEAM's measure of work. Reading a byte the dearest way is a few of them.
  @reductions_per_byte 60
  @reductions_of_any 20_000
  # Of code that is first run now. Of the frames' words there are thousands.
  @atoms 10
  @bytes_kept 4 * 1024 * 1024

  test "#{@quick} frames are read or refused", do: fuzz(@quick)

  @tag :slow
  @tag timeout: 600_000
  test "#{@slow} frames are read or refused", do: fuzz(@slow)

  test "the frames are of many kinds, and the same again from their seed" do
    corpus = Fuzz.corpus()
    assert tuple_size(corpus) > 250
    frames = for number <- 1..2_000, do: Fuzz.frame(1, number, corpus)
    assert frames == for(number <- 1..2_000, do: Fuzz.frame(1, number, corpus))
    results = Enum.frequencies_by(frames, &kind(Messages.parse_frame(&1)))
    for kind <- [:read, :bad_frame, :bad_message], do: assert(results[kind] > 100)
  end

  test "the dearest frames cost what their length allows" do
    for {frame, number} <- Enum.with_index(Fuzz.expensive()) do
      assert byte_size(frame) > 300_000
      read(frame, {:expensive, number})
    end
  end

  defp fuzz(count) do
    seed = seed()
    corpus = Fuzz.corpus()
    IO.puts("fuzzing the decoder with GRAPHPORT_FUZZ_SEED=#{seed}")
    run(seed, 1..@warm_up, corpus)
    # Asking for it makes atoms of its own.
    bytes = memory()
    atoms = :erlang.system_info(:atom_count)
    run(seed, (@warm_up + 1)..count, corpus)

    assert :erlang.system_info(:atom_count) - atoms <= @atoms
    # What a process has goes a moment after its end.
    assert Graphport.Case.eventually(fn -> memory() - bytes < @bytes_kept end)
  end

  defp run(seed, first..last, corpus) do
    step = System.schedulers_online()

    1..step
    |> Enum.map(fn nth -> Task.async(fn -> each(seed, Range.new(first + nth - 1, last, step), corpus) end) end)
    |> Task.await_many(:infinity)
  end

  defp each(seed, numbers, corpus), do: Enum.each(numbers, &read(Fuzz.frame(seed, &1, corpus), {seed, &1}))

  defp read(frame, which) do
    {[fast, general | _] = results, work} = read_each_way(frame)

    # Texts are made for what fails alone: there are a million frames.
    cond do
      Enum.any?(results, &(kind(&1) == :neither)) ->
        flunk("#{inspect(which)}: #{inspect(results)}")

      fast !== general ->
        flunk("#{inspect(which)}: #{inspect(fast)} is not #{inspect(general)}")

      work > allowed(frame) and work_alone(frame) > allowed(frame) ->
        flunk("#{inspect(which)}: #{work} reductions for #{byte_size(frame)} bytes")

      true ->
        :ok
    end
  rescue
    error in [ExUnit.AssertionError] -> reraise error, __STACKTRACE__
    error -> flunk("#{inspect(which)}: #{Exception.format(:error, error, __STACKTRACE__)}")
  end

  defp read_each_way(frame) do
    before = reductions()
    fast = Messages.parse_frame(frame)
    general = Messages.parse_general(frame)
    results = [fast, general, Messages.parse_parts(frame), Decoder.decode(frame)]
    {results, reductions() - before}
  end

  # Collecting the garbage of the frames before is charged to whichever frame brings it about.
  defp work_alone(frame) do
    :erlang.garbage_collect()
    frame |> read_each_way() |> elem(1)
  end

  defp allowed(frame), do: @reductions_of_any + @reductions_per_byte * byte_size(frame)

  defp kind({:ok, _value}), do: :read

  defp kind({:error, %Error{code: code, message: <<_, _::binary>> = text}})
       when code in [:bad_frame, :bad_message] and byte_size(text) < 1_000,
       do: code

  defp kind(_other), do: :neither

  defp reductions do
    {:reductions, count} = Process.info(self(), :reductions)
    count
  end

  defp memory do
    for process <- Process.list(), do: :erlang.garbage_collect(process)
    :erlang.memory(:processes) + :erlang.memory(:binary) + :erlang.memory(:ets)
  end

  defp seed do
    case System.get_env("GRAPHPORT_FUZZ_SEED") do
      nil -> :rand.uniform(1_000_000_000)
      text -> String.to_integer(text)
    end
  end
end
