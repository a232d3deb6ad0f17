# What the way through Elixir, engine and node costs a model's tokens, against a bare client of the same worker
# process: one write and then reads on its UNIX socket, no parsing. Run by `scripts/bench`; rows for table.py go to
# standard output.
#
# Every answer is limited by `max_tokens`, and every prompt and seed is new, so that nothing comes from a cache. Tokens
# of the bare client are the worker's own count; those of Graphport are counted by the worker from the text.

defmodule Bench.Worker do
  # The bare client. The engine's temporary folder is ours, so its worker's socket can be found there.

  def socket(folder) do
    [path] = Path.wildcard(Path.join(folder, "graphport-*/worker.sock"))
    path
  end

  # One streamed answer: {tokens, the worker's own tokens per second}.
  def chat(socket, prompt, seed, max_tokens, temperature) do
    answer =
      post(socket, "/v1/chat/completions", """
      {"messages":[{"role":"user","content":"#{prompt}"}],"stream":true,"stream_options":{"include_usage":true},
      "return_progress":true,"cache_prompt":true,"max_tokens":#{max_tokens},"temperature":#{temperature},
      "seed":#{seed}}
      """)

    {number(answer, "predicted_n"), number(answer, "predicted_per_second")}
  end

  def count_tokens(socket, text) do
    answer = post(socket, "/tokenize", ~s({"content":#{json(text)}}))
    [_, tokens] = Regex.run(~r/"tokens":\[([\d,\s]*)\]/, answer)
    tokens |> String.split(",", trim: true) |> length()
  end

  defp post(path, resource, body) do
    {:ok, socket} = :gen_tcp.connect({:local, path}, 0, [:binary, active: false])

    head =
      "POST #{resource} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" <>
        "Connection: close\r\nContent-Length: #{byte_size(body)}\r\n\r\n"

    :ok = :gen_tcp.send(socket, [head, body])
    read(socket, [])
  end

  defp read(socket, parts) do
    case :gen_tcp.recv(socket, 0, 120_000) do
      {:ok, data} -> read(socket, [parts | data])
      {:error, :closed} -> IO.iodata_to_binary(parts)
    end
  end

  # The last one in the answer: the worker repeats its timings.
  defp number(answer, name) do
    [_, digits] = ~r/"#{name}":([\d.]+)/ |> Regex.scan(answer) |> List.last()
    {number, _rest} = Float.parse(digits)
    number
  end

  defp json(text) do
    escaped = for <<char::utf8 <- text>>, into: "", do: escape(char)
    ~s("#{escaped}")
  end

  defp escape(char) when char in [?", ?\\] or char < 0x20,
    do: "\\u" <> String.pad_leading(Integer.to_string(char, 16), 4, "0")

  defp escape(char), do: <<char::utf8>>
end

defmodule Bench.Llm do
  @streams 8
  @rounds_alone 7
  @rounds_together 5
  @rounds_wide 15
  @tokens 96
  @tokens_together 48
  @tokens_wide 300

  def run(build) do
    folder = Path.join(System.tmp_dir!(), "gp-bench-#{System.pid()}")
    File.mkdir_p!(folder)

    try do
      small(started(folder, Bench.Small, "smollm2", 0.7))
      wide(started(folder, Bench.Wide, Path.join(build, "wide.gguf"), 0))
    after
      File.rm_rf!(folder)
    end
  end

  # An instance with one worker, and the worker's socket.
  defp started(folder, name, model, temperature) do
    own = Path.join(folder, inspect(name))
    File.mkdir_p!(own)
    System.put_env("TMPDIR", own)
    {:ok, supervisor} = Supervisor.start_link([{Graphport, name: name}], strategy: :one_for_one)
    data = %{"model_path" => model, "temperature" => temperature, "context_length" => 1024}
    node = %{"id" => "llm", "type" => "llamacpp-inference", "data" => data}
    session = Graphport.open!(name, %{"nodes" => [node], "edges" => []})
    ask(session, 2)
    wait()
    %{session: session, socket: Bench.Worker.socket(own), temperature: temperature, supervisor: supervisor}
  end

  # -- the small real model ----------------------------------------------------------------------------------------

  defp small(model) do
    alone =
      rounds(@rounds_alone, ours: fn -> ours(model, 1, @tokens) end, bare: fn -> bare(model, 1, @tokens) end)

    together =
      rounds(@rounds_together,
        ours: fn -> ours(model, @streams, @tokens_together) end,
        bare: fn -> bare(model, @streams, @tokens_together) end,
        serial: fn -> one_by_one(model) end
      )

    Supervisor.stop(model.supervisor)
    rates = fn rounds, name -> Enum.map(rounds, &elem(&1[name], 0)) end
    workers = Enum.map(alone, &elem(&1.bare, 1))
    row("SmolLM2, 1 stream, with prompt", rates.(alone, :ours), rates.(alone, :bare), ">=0.95x")
    row("SmolLM2, 1 stream; peer: worker's own clock", rates.(alone, :ours), workers, "")
    row("SmolLM2, 8 streams", rates.(together, :ours), rates.(together, :bare), "")

    row(
      "SmolLM2, 8 streams; peer: 8 one by one",
      rates.(together, :ours),
      rates.(together, :serial),
      ">=1.7x"
    )
  end

  defp one_by_one(model) do
    {tokens, seconds} = Enum.unzip(for _stream <- 1..@streams, do: measure(model, 1, @tokens_together))
    {Enum.sum(tokens) / Enum.sum(seconds), nil}
  end

  # -- a model that computes next to nothing -----------------------------------------------------------------------

  defp wide(model) do
    rounds = rounds(@rounds_wide, ours: fn -> wide_ours(model) end, bare: fn -> wide_bare(model) end)
    Supervisor.stop(model.supervisor)
    added = rounds |> Enum.map(&(&1.ours - &1.bare)) |> median()
    show = fn name -> "#{decimals(rounds |> Enum.map(& &1[name]) |> median(), 3)} ms" end
    IO.puts("49k vocabulary, per token\t#{show.(:ours)}\t#{show.(:bare)}\t#{decimals(added, 3)} ms\t<=0.3 ms")
  end

  # Milliseconds per token; this model never ends by itself.
  defp wide_ours(model) do
    began = now()
    ask(model.session, @tokens_wide)
    wait()
    (now() - began) * 1_000 / @tokens_wide
  end

  defp wide_bare(model) do
    seed = unused()
    began = now()
    {tokens, _rate} = Bench.Worker.chat(model.socket, prompt(seed), seed, @tokens_wide, model.temperature)
    took = now() - began
    true = round(tokens) == @tokens_wide
    took * 1_000 / @tokens_wide
  end

  # -- demands ---------------------------------------------------------------------------------------------------

  # {tokens per second, nil} through Elixir; the chunks come to this process one by one.
  defp ours(model, streams, max_tokens) do
    {tokens, took} = measure(model, streams, max_tokens)
    {tokens / took, nil}
  end

  defp measure(model, streams, max_tokens) do
    began = now()
    for _stream <- 1..streams, do: ask(model.session, max_tokens)
    texts = for _stream <- 1..streams, do: wait()
    took = now() - began
    {texts |> Enum.map(&Bench.Worker.count_tokens(model.socket, &1)) |> Enum.sum(), took}
  end

  # {tokens per second, the worker's own figure for one stream} of the bare client.
  defp bare(model, streams, max_tokens) do
    began = now()

    tasks =
      for _stream <- 1..streams do
        seed = unused()

        Task.async(fn ->
          Bench.Worker.chat(model.socket, prompt(seed), seed, max_tokens, model.temperature)
        end)
      end

    answers = Task.await_many(tasks, 300_000)
    took = now() - began
    {(answers |> Enum.map(&elem(&1, 0)) |> Enum.sum()) / took, answers |> hd() |> elem(1)}
  end

  defp ask(session, max_tokens) do
    number = unused()
    inputs = %{"llm" => %{"prompt" => prompt(number), "seed" => number, "max_tokens" => max_tokens}}
    {:ok, _demand} = Graphport.demand_async(session, "llm", inputs: inputs)
  end

  defp wait do
    receive do
      {:node_stream, "llm", _chunk} -> wait()
      {:demand_complete, "llm", outputs} -> outputs["response"]
      {:demand_error, "llm", error} -> raise error
    end
  end

  defp unused, do: System.unique_integer([:positive, :monotonic])

  # The number comes first, so that no prompt starts like another one.
  defp prompt(number),
    do:
      "#{10_000 + number} is the number of a village by the sea. Tell a long story about the people who live there."

  # -- figures ---------------------------------------------------------------------------------------------------

  # Round 0 warms up. The order turns from round to round.
  defp rounds(count, measures) do
    for number <- 0..count do
      IO.write(:stderr, ".")
      {back, front} = Enum.split(measures, rem(number, length(measures)))
      Map.new(front ++ back, fn {name, measure} -> {name, measure.()} end)
    end
    |> tl()
  after
    IO.puts(:stderr, "")
  end

  defp row(figure, ours, theirs, target) do
    ratio = ours |> Enum.zip(theirs) |> Enum.map(fn {one, other} -> one / other end) |> median()
    show = &"#{decimals(median(&1), 1)} tok/s"
    IO.puts("#{figure}\t#{show.(ours)}\t#{show.(theirs)}\t#{decimals(ratio, 2)}x\t#{target}")
  end

  defp now, do: System.monotonic_time(:nanosecond) / 1_000_000_000
  defp decimals(number, count), do: :erlang.float_to_binary(number * 1.0, decimals: count)
  defp median(values), do: values |> Enum.sort() |> Enum.at(div(length(values), 2))
end

Bench.Llm.run(System.fetch_env!("GRAPHPORT_BENCH_BUILD"))
