# A GenServer demands the node "answer" of a graph; the model's tokens arrive in its mailbox as they are made.
# Run by `scripts/demo`.

defmodule Answer do
  use GenServer

  def start_link(question), do: GenServer.start_link(__MODULE__, {question, self()})

  @impl true
  def init({question, client}) do
    graph = Path.join(__DIR__, "answer.json")
    {:ok, session} = Graphport.open(Demo.Graphs, {:file, graph})
    inputs = if question, do: %{"prompt" => %{"text" => question}}, else: %{}
    {:ok, _demand} = Graphport.demand_async(session, "answer", inputs: inputs)
    {:ok, %{client: client, started: now(), first: nil, chunks: 0}}
  end

  @impl true
  def handle_info({:node_stream, "llm", chunk}, state) do
    IO.write(chunk)
    {:noreply, %{state | first: state.first || now() - state.started, chunks: state.chunks + 1}}
  end

  def handle_info({:demand_complete, "answer", outputs}, state) do
    took = now() - state.started
    IO.puts("\n\n{:demand_complete, \"answer\", #{inspect(outputs, printable_limit: 60)}}")
    IO.puts("#{state.chunks} chunks; the first after #{state.first} ms, all within #{took} ms")
    send(state.client, :done)
    {:noreply, state}
  end

  def handle_info({:demand_error, "answer", error}, state) do
    IO.puts(:stderr, "\n#{error}")
    send(state.client, :failed)
    {:noreply, state}
  end

  defp now, do: System.monotonic_time(:millisecond)
end

{:ok, _} = Supervisor.start_link([{Graphport, name: Demo.Graphs}], strategy: :one_for_one)
{:ok, _} = Answer.start_link(List.first(System.argv()))

receive do
  :done -> :ok
  :failed -> exit({:shutdown, 1})
end
