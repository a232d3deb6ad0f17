defmodule :python do
  # Stands in for the module of that name of the Erlang application ErlPort, where the tests' machine has no ErlPort:
  # the same functions, start line, terms and exit reasons, for one process without a name and without time-outs.
  # What it starts is ErlPort's real Python code. Loaded by `test_helper.exs`.
  @moduledoc false
  use GenServer

  @python_code Path.expand("../../../../tests/support/erlport_python3", __DIR__)

  def start(options), do: with(:ok <- check(options), do: GenServer.start(__MODULE__, options))
  def start_link(options), do: with(:ok <- check(options), do: GenServer.start_link(__MODULE__, options))
  def stop(pid), do: GenServer.cast(pid, :stop)
  def cast(pid, message), do: GenServer.cast(pid, {:message, message})

  def call(pid, module, function, arguments, options \\ []) do
    request = {:call, module, function, arguments}

    if :async in options do
      GenServer.cast(pid, request)
    else
      case GenServer.call(pid, request, :infinity) do
        {:ok, result} -> result
        {:error, error} -> :erlang.error(error)
      end
    end
  end

  defp check(options) do
    if {:python_path, []} in options,
      do: {:error, {:invalid_option, {:python_path, []}, :invalid_path}},
      else: :ok
  end

  @impl GenServer
  def init(options) do
    Process.flag(:trap_exit, true)
    stdio = if :nouse_stdio in options, do: :nouse_stdio, else: :use_stdio
    options = Enum.filter(options, &is_tuple/1)
    paths = [to_charlist(@python_code) | Keyword.get(options, :python_path, [])] ++ env_path()

    line = "#{options[:python]} -u -m erlport.cli --packet=4 --#{stdio} --compressed=0 --buffer_size=65536"

    env = [{'PYTHONPATH', Enum.join(paths, ":") |> to_charlist()}]
    port = Port.open({:spawn, line}, [:binary, :hide, :exit_status, stdio, packet: 4, env: env])
    {:ok, %{port: port, sent: %{}, last: 0}}
  end

  @impl GenServer
  def handle_call({:call, _m, _f, _a} = request, from, state), do: {:noreply, request(request, from, state)}

  @impl GenServer
  def handle_cast({:call, _m, _f, _a} = request, state), do: {:noreply, request(request, :unknown, state)}
  def handle_cast({:message, message}, state), do: {:noreply, write({:M, prepare(message)}, state)}
  def handle_cast(:stop, state), do: {:stop, :normal, state}

  @impl GenServer
  def handle_info({port, {:data, data}}, %{port: port} = state),
    do: incoming(:erlang.binary_to_term(data), state)

  def handle_info({:EXIT, port, reason}, %{port: port} = state), do: {:stop, {:port_closed, reason}, state}

  def handle_info({port, {:exit_status, code}}, %{port: port} = state),
    do: {:stop, {:port_closed, {:code, code}}, state}

  def handle_info(other, state), do: {:noreply, write({:M, prepare(other)}, state)}

  @impl GenServer
  def terminate(reason, state) do
    error = if reason == :normal, do: :stopped, else: reason
    for {_id, from} <- state.sent, from != :unknown, do: GenServer.reply(from, {:error, error})
  end

  defp incoming({:r, id, result}, state), do: answered(id, {:ok, result}, state)
  defp incoming({:e, id, error}, state), do: answered(id, {:error, error}, state)
  defp incoming({:e, error}, state), do: {:stop, {:message_handler_error, error}, state}

  defp incoming({:M, pid, message}, state) do
    send(pid, message)
    {:noreply, state}
  end

  defp incoming({:P, text}, state) do
    :ok = :io.put_chars(text)
    {:noreply, state}
  end

  defp incoming(other, state), do: {:stop, {:invalid_protocol_message, other}, state}

  defp answered(id, answer, state) do
    case {Map.pop(state.sent, id), answer} do
      {{:unknown, sent}, {:ok, _result}} ->
        {:noreply, %{state | sent: sent}}

      {{:unknown, sent}, {:error, error}} ->
        {:stop, {:async_call_error, error}, %{state | sent: sent}}

      {{from, sent}, answer} when from != nil ->
        GenServer.reply(from, answer)
        {:noreply, %{state | sent: sent}}
    end
  end

  defp request({:call, module, function, arguments}, from, state) do
    id = state.last + 1
    state = %{state | last: id, sent: Map.put(state.sent, id, from)}
    write({:C, id, module, function, prepare_list(arguments)}, state)
  end

  defp write(term, state) do
    Port.command(state.port, :erlang.term_to_binary(term, minor_version: 1))
    state
  end

  defp prepare(term) when is_atom(term) or is_number(term) or is_binary(term), do: term
  defp prepare(term) when is_list(term), do: prepare_list(term)

  defp prepare(term) when is_tuple(term),
    do: term |> Tuple.to_list() |> prepare_list() |> List.to_tuple()

  defp prepare(term) do
    <<131, data::binary>> = :erlang.term_to_binary(term, minor_version: 1)
    {:"$erlport.opaque", :erlang, data}
  end

  defp prepare_list([head | tail]), do: [prepare(head) | prepare_list(tail)]
  defp prepare_list([]), do: []
  defp prepare_list(tail), do: prepare(tail)

  defp env_path do
    case System.get_env("PYTHONPATH", "") do
      "" -> []
      path -> [to_charlist(path)]
    end
  end
end
