defmodule Graphport.Wire.Messages do
  # The messages of PROTOCOL.md §3 and §4: outgoing ones as iodata, incoming ones as tuples with every type checked.
  # Pure. Must not know sessions or processes. Outgoing: called by whoever writes; incoming: by the engine owner.
  @moduledoc false

  import Graphport.Wire.Limits

  alias Graphport.Error
  alias Graphport.Wire.{Decoder, Encoder, Frequent, Utf8}

  @type id :: non_neg_integer
  @typedoc "What is demanded: a node, several, or `\"*\"` for all sinks."
  @type target :: String.t() | [String.t()]

  @typedoc "Whether what was demanded was executed for it, by the answer's `meta`."
  @type status :: :completed | :cached | :skipped | {:completed | :cached | :skipped, provenance :: map}

  @type incoming ::
          {:demand_complete, id, target, map, status}
          | {:demand_error, id, target, map}
          | {:node_stream, id, String.t(), String.t(), term}
          | {:node_event, id, String.t(), map}
          | {:node_output, id, target, map}
          | {:node_failed, id, target, map}
          | {:reply, id, term}
          | {:error, id | nil, map}
          | {:credit, non_neg_integer, non_neg_integer}
          | {:pong, integer}
          | {:log, Logger.level(), String.t(), String.t(), map}
          | {:ready, map}
          | {:degraded, map}
          | {:part, id, non_neg_integer, boolean, binary}
          | {:host_call, id, id, String.t(), String.t(), map}
          | {:host_cancel, id}
          | {:host_more, id, pos_integer}
          | {:unknown, String.t()}

  @typedoc """
  A message as it is written: in one frame, or in parts, with what stands behind the bytes that are given: nothing, or
  the demand's deadline, which is known when the last part is written.
  """
  @type outgoing :: iodata | {:parts, iodata, :nothing | :deadline}

  @max_id 0x7FFFFFFFFFFFFFFF
  # Characters of progress.
  @most_words 1_000
  @deadline_key <<0xAB, "deadline_ms">>

  # Dates, times and sets are read as structs, which are maps to Elixir and no maps on the wire.
  defguardp is_plain_map(term) when is_map(term) and not is_map_key(term, :__struct__)
  defguardp is_id(id) when is_integer(id) and id >= 0 and id <= @max_id
  defguardp is_call(id) when is_integer(id) and id >= first_call() and id <= @max_id

  @doc "The first message of a pipe; `options` are settings for the engine."
  @spec hello(String.t(), map) :: iodata
  def hello(client, options),
    do: Encoder.encode!(["hello", %{"protocol" => protocol(), "client" => client, "options" => options}])

  @doc "Loads a graph as a session; the graph counts as that revision."
  @spec open(id, id, map, pos_integer) :: {:ok, outgoing} | {:error, Error.t()}
  def open(req, session, graph, revision \\ 1) do
    options = if revision == 1, do: %{}, else: %{"revision" => revision}
    with {:ok, iodata} <- Encoder.encode(["open", req, session, graph, options]), do: sized(iodata)
  end

  @doc "Edits the graph of a session."
  @spec update(id, id, [map]) :: {:ok, outgoing} | {:error, Error.t()}
  def update(req, session, edits) do
    with {:ok, iodata} <- Encoder.encode(["update", req, session, edits]), do: sized(iodata)
  end

  @doc "Tells a person's answer to a node."
  @spec decide(id, id, String.t(), term) :: {:ok, outgoing} | {:error, Error.t()}
  def decide(req, session, node, answer) do
    with {:ok, iodata} <- Encoder.encode(["decide", req, session, node, answer]), do: sized(iodata)
  end

  @spec close(id, id) :: iodata
  def close(req, session), do: Encoder.encode!(["close", req, session])

  @doc "Demands a node, or several; `options` holds only what differs from the protocol's defaults."
  @spec demand_async(id, id, target, map) :: {:ok, outgoing} | {:error, Error.t()}
  # What most demands say: one binary, made at once.
  def demand_async(demand, session, node, %{"stream" => true} = options)
      when map_size(options) == 1 and is_binary(node) and byte_size(node) < 32 do
    if Utf8.valid?(node),
      do:
        {:ok,
         <<0x95, 0xAC, "demand_async", 0xCF, demand::64, 0xCF, session::64, 0xA0 + byte_size(node),
           node::binary, 0x81, 0xA6, "stream", 0xC3>>},
      else: Encoder.encode(node)
  end

  def demand_async(demand, session, node, options) do
    # The one message whose cost every caller pays: its head is one binary, with ids in a fixed width.
    head = <<0x95, 0xAC, "demand_async", 0xCF, demand::64, 0xCF, session::64>>
    node = Encoder.encode!(node)

    case options do
      %{"deadline_ms" => left} ->
        # Comes last, so that a message in parts can carry what is left when its last part is written.
        rest = Encoder.pairs!(Map.delete(options, "deadline_ms"))
        sized([head, node, Encoder.map_header(map_size(options)), rest, @deadline_key], deadline(left))

      options ->
        sized([head, node | Encoder.encode!(options)])
    end
  catch
    {:unencodable, text} -> {:error, %Error{code: :unencodable_value, message: text}}
  end

  @doc "The end of a demand's message: the milliseconds of its deadline, always of the same length."
  @spec deadline(non_neg_integer) :: binary
  def deadline(left_ms), do: <<0xCE, left_ms::32>>

  @doc "A part of a transfer; `size` is that of `bytes`."
  @spec part(id, non_neg_integer, boolean, iodata, non_neg_integer) :: iodata
  def part(transfer, seq, last, bytes, size),
    do: [
      <<0x95, 0xA4, "part", 0xCF, transfer::64, 0xCE, seq::32, if(last, do: 0xC3, else: 0xC2), 0xC6,
        size::32>>
      | bytes
    ]

  @spec cancel(id) :: iodata
  def cancel(demand), do: Encoder.encode!(["cancel", demand])

  @doc "Lets `n` more chunks of a demand with a window through."
  @spec grant(id, pos_integer) :: iodata
  def grant(demand, n), do: Encoder.encode!(["grant", demand, n])

  @doc "Has the chunks of a demand without a window kept, or kept no longer."
  @spec hold(id, boolean) :: iodata
  def hold(demand, shut?), do: Encoder.encode!(["hold", demand, shut?])

  @doc "Asks for facts."
  @spec query(id, String.t(), map) :: {:ok, outgoing} | {:error, Error.t()}
  def query(req, what, args) do
    with {:ok, iodata} <- Encoder.encode(["query", req, what, args]), do: sized(iodata)
  end

  @doc "What a node of the app returned: its outputs."
  @spec host_reply(id, true, map) :: {:ok, outgoing} | {:error, Error.t()}
  def host_reply(call, true, outputs) do
    with {:ok, iodata} <- Encoder.encode(["host_reply", call, true, outputs]), do: sized(iodata)
  end

  @doc """
  Why a node of the app has no outputs. Details that cannot travel, or are too long for it, are left out: an error must never
  fail.
  """
  @spec host_failed(id, map) :: iodata
  def host_failed(call, fault) do
    with {:ok, iodata} <- Encoder.encode(["host_reply", call, false, fault]),
         {:ok, frame} when not is_tuple(frame) <- sized(iodata) do
      frame
    else
      _too_much -> Encoder.encode!(["host_reply", call, false, Map.delete(fault, "details")])
    end
  end

  @doc "A chunk of a node of the app."
  @spec host_stream(id, String.t(), term) :: {:ok, outgoing} | {:error, Error.t()}
  def host_stream(call, port, chunk) do
    with {:ok, iodata} <- Encoder.encode(["host_stream", call, port, chunk]), do: sized(iodata)
  end

  @doc "How far a node of the app is."
  @spec host_progress(id, number | nil, String.t()) :: {:ok, iodata} | {:error, Error.t()}
  def host_progress(call, fraction, text),
    do: Encoder.encode(["host_progress", call, fraction, String.slice(text, 0, @most_words)])

  @spec ping(integer) :: iodata
  def ping(token), do: Encoder.encode!(["ping", token])

  @spec credit(non_neg_integer, non_neg_integer) :: iodata
  def credit(frames, bytes), do: Encoder.encode!(["credit", frames, bytes])

  defp sized(iodata) do
    case :erlang.iolist_size(iodata) do
      size when size <= max_part_bytes() -> {:ok, iodata}
      size -> long(size, {:parts, iodata, :nothing})
    end
  end

  defp sized(iodata, deadline) do
    case :erlang.iolist_size(iodata) + byte_size(deadline) do
      size when size <= max_part_bytes() -> {:ok, [iodata | deadline]}
      size -> long(size, {:parts, iodata, :deadline})
    end
  end

  defp long(size, parts) when size <= max_value_bytes(), do: {:ok, parts}

  defp long(size, _parts) do
    text = "a message of #{size} bytes is over the limit of #{max_value_bytes()} bytes"
    {:error, %Error{code: :too_large, message: text}}
  end

  @doc """
  The messages of one frame, in order: one message, or a batch.

  `bad_frame` if it is not one MessagePack value, `bad_message` if a message has a wrong shape. A message with an
  unknown name is `{:unknown, name}`: a newer engine may say more.
  """
  @spec parse_frame(binary) :: {:ok, [incoming]} | {:error, Error.t()}
  def parse_frame(frame) do
    with {:ok, last_first} <- Frequent.messages(frame),
         {:ok, _messages} = parsed <- check(last_first, []) do
      parsed
    else
      :general -> parse_general(frame)
    end
  end

  defp check([{:value, value} | rest], out) do
    case message(value) do
      {:malformed, _text} -> :general
      message -> check(rest, [message | out])
    end
  end

  defp check([message | rest], out), do: check(rest, [message | out])
  defp check([], out), do: {:ok, out}

  @doc "`parse_frame/1` the general way: for what is not frequent, for faults, and for the tests that compare the two."
  @spec parse_general(binary) :: {:ok, [incoming]} | {:error, Error.t()}
  def parse_general(frame) do
    case Decoder.decode(frame) do
      {:ok, [name | _] = message} when is_binary(name) -> [message] |> batch([]) |> bytes_only(frame)
      {:ok, [first | _] = messages} when is_list(first) -> batch(messages, [])
      {:ok, _other} -> malformed("expected a message [name, …] or a batch of messages")
      {:error, _error} = failed -> failed
    end
  end

  @doc """
  The one message that came in parts.

  Errors as `parse_frame/1`; also `bad_message` for what must not come in parts.
  """
  @spec parse_parts(binary) :: {:ok, incoming} | {:error, Error.t()}
  def parse_parts(bytes) do
    with {:ok, value} <- Decoder.decode(bytes) do
      case message(value) do
        {:malformed, text} ->
          malformed(text)

        message when elem(message, 0) in [:part, :ready, :credit, :pong, :degraded] ->
          malformed("#{elem(message, 0)} in parts")

        message ->
          {:ok, message}
      end
    end
  end

  # The decoder makes the same term of text and bytes. A part ends with its bytes, so their header says what they are.
  defp bytes_only({:ok, [{:part, _transfer, _seq, _last, bytes}]} = parsed, frame) do
    size = byte_size(bytes)
    ends? = fn header -> binary_part(frame, byte_size(frame) - size, -byte_size(header)) == header end

    if ends?.(<<0xC6, size::32>>) or ends?.(<<0xC5, size::16>>) or ends?.(<<0xC4, size::8>>),
      do: parsed,
      else: malformed("part of text instead of bytes")
  end

  defp bytes_only(parsed, _frame), do: parsed

  defp batch([message | rest], out) do
    case message(message) do
      {:malformed, text} -> malformed(text)
      parsed -> batch(rest, [parsed | out])
    end
  end

  defp batch([], out), do: {:ok, :lists.reverse(out)}

  defp message(["node_stream", demand, node, port, chunk])
       when is_id(demand) and is_binary(node) and is_binary(port),
       do: {:node_stream, demand, node, port, chunk}

  defp message(["node_event", demand, node, %{"event" => kind} = event])
       when is_id(demand) and is_binary(node) and is_binary(kind),
       do: {:node_event, demand, node, event}

  defp message(["demand_complete", demand, node, outputs, meta])
       when is_id(demand) and is_binary(node) and is_plain_map(outputs) and is_plain_map(meta),
       do: {:demand_complete, demand, node, outputs, Frequent.status(meta)}

  defp message(["node_output", demand, node, outputs, meta])
       when is_id(demand) and is_binary(node) and is_plain_map(outputs) and is_plain_map(meta),
       do: {:node_output, demand, node, outputs}

  defp message(["node_output", demand, [_ | _] = nodes, outputs, meta])
       when is_id(demand) and is_plain_map(outputs) and is_plain_map(meta),
       do: of_nodes(nodes, "node_output", {:node_output, demand, nodes, outputs})

  defp message(["node_failed", demand, node, error])
       when is_id(demand) and is_binary(node) and is_plain_map(error),
       do: {:node_failed, demand, node, error}

  defp message(["node_failed", demand, [_ | _] = nodes, error]) when is_id(demand) and is_plain_map(error),
    do: of_nodes(nodes, "node_failed", {:node_failed, demand, nodes, error})

  # Of several nodes, each has a map of its own.
  defp message(["demand_complete", demand, [_ | _] = nodes, outputs, meta])
       when is_id(demand) and is_plain_map(outputs) and is_plain_map(meta),
       do:
         of_nodes(nodes, "demand_complete", {:demand_complete, demand, nodes, outputs, Frequent.status(meta)})

  defp message(["demand_error", demand, node, error])
       when is_id(demand) and is_binary(node) and is_plain_map(error),
       do: {:demand_error, demand, node, error}

  defp message(["demand_error", demand, [_ | _] = nodes, error]) when is_id(demand) and is_plain_map(error),
    do: of_nodes(nodes, "demand_error", {:demand_error, demand, nodes, error})

  defp message(["credit", frames, bytes]) when is_id(frames) and is_id(bytes), do: {:credit, frames, bytes}
  defp message(["reply", req, result]) when is_id(req), do: {:reply, req, result}

  defp message(["error", req, error]) when (is_id(req) or req == nil) and is_plain_map(error),
    do: {:error, req, error}

  defp message(["pong", token]) when is_integer(token), do: {:pong, token}

  defp message(["log", level, logger, text, meta])
       when level in ~w(debug info warning error critical) and is_binary(logger) and is_binary(text) and
              is_plain_map(meta),
       do: {:log, level(level), logger, text, meta}

  defp message(["ready", %{"protocol" => version, "os_pid" => pid} = facts])
       when is_integer(version) and is_integer(pid),
       do: {:ready, facts}

  defp message(["degraded", %{"stuck" => stuck, "reason" => reason} = facts])
       when is_id(stuck) and is_binary(reason),
       do: {:degraded, facts}

  defp message(["part", transfer, seq, last, bytes])
       when is_id(transfer) and is_id(seq) and is_boolean(last) and is_binary(bytes) and
              byte_size(bytes) <= max_part_bytes(),
       do: {:part, transfer, seq, last, bytes}

  defp message(["host_call", call, demand, node, type, inputs])
       when is_call(call) and is_id(demand) and is_binary(node) and is_binary(type) and is_plain_map(inputs),
       do: {:host_call, call, demand, node, type, inputs}

  defp message(["host_cancel", call]) when is_call(call), do: {:host_cancel, call}

  defp message(["host_more", call, chunks]) when is_call(call) and is_id(chunks) and chunks > 0,
    do: {:host_more, call, chunks}

  defp message([name | _fields])
       when name in ~w(node_stream node_event node_output node_failed demand_complete demand_error credit reply error pong log
                    ready degraded part host_call host_cancel host_more),
       do: wrong_fields(name)

  defp message([name | _fields]) when is_binary(name), do: {:unknown, name}
  defp message(_other), do: {:malformed, "expected a message: a list whose first element is its name"}

  defp of_nodes(nodes, name, message),
    do: if(Enum.all?(nodes, &is_binary/1), do: message, else: wrong_fields(name))

  defp wrong_fields(name),
    do: {:malformed, "#{name} with a wrong number of fields or a field of a wrong type"}

  defp level("debug"), do: :debug
  defp level("info"), do: :info
  defp level("warning"), do: :warning
  defp level("error"), do: :error
  defp level("critical"), do: :critical

  defp malformed(text), do: {:error, %Error{code: :bad_message, message: text}}
end
